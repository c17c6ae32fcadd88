import type { DecodedBolt11 } from '../../api/decodeSchemas.ts'
import type { Payment } from '../../api/schemas.ts'
import { announce } from '../announce.ts'
import type { App } from '../app.ts'
import { actionForm, type Dialog, field, openDialog, satInput } from '../dialog.ts'
import { h, put } from '../dom.ts'
import { parseSat, satText, shortId } from '../format.ts'
import { icon } from '../icons.ts'
import { amount, button, facts, idOf, timeOf } from '../parts.ts'
import { isUnpaid, paymentFacts } from './paymentDialog.ts'

/** An invoice is read first, shown, and paid only when that is confirmed. */
export function openPay(app: App, { text = '' }: { text?: string } = {}): void {
  const dialog = openDialog()
  askInvoice(app, dialog, text)
}

function askInvoice(app: App, dialog: Dialog, text: string): void {
  const invoice = h('textarea', {
    rows: 5,
    spellcheck: false,
    autocapitalize: 'off',
    autocomplete: 'off',
    placeholder: 'lnbc…',
  })
  invoice.value = text
  const run = async (): Promise<void> => {
    const bolt11 = invoice.value.trim().replace(/^lightning:/i, '')
    if (bolt11 === '') throw new RangeError('Paste the invoice that you want to pay.')
    const decoded = await app.live.client.decode(bolt11)
    if (decoded.type !== 'bolt11')
      throw new RangeError('This is a BOLT 12 text, which this node reads but does not pay: ask for a BOLT 11 invoice.')
    confirm(app, dialog, bolt11, decoded)
  }
  dialog.show(
    'Pay',
    actionForm(
      { act: 'Read invoice', run },
      field('Invoice', invoice, { hint: 'Nothing is paid yet: you see first what it says.' }),
    ),
  )
}

function confirm(app: App, dialog: Dialog, bolt11: string, decoded: DecodedBolt11): void {
  const { live } = app
  const { amountMsat, description, nodeId, expired } = decoded
  const sat = satInput({})
  const fee = satInput({ placeholder: 'As the node decides' })
  const network = live.of.node.value?.network
  const isForeign = network !== undefined && network !== decoded.network
  const run = async (): Promise<void> => {
    const request = {
      bolt11,
      ...(amountMsat === null && { amountMsat: parseSat(sat.value) * 1000 }),
      ...(fee.value.trim() !== '' && { maxFeeMsat: parseSat(fee.value) * 1000 }),
    }
    // A key that may not look at payments hears nothing of them: its answer is held until it is final.
    const payment = await live.client.payments.send(request, live.can('payments:read') ? {} : { wait: 60 })
    if (live.can('payments:read')) live.of.payments.touch()
    showProgress(app, dialog, payment)
  }
  const warning = expired
    ? 'This invoice has expired: ask for a new one.'
    : isForeign && `This invoice is for the network ${decoded.network}, this node is on ${network}.`
  const rows = h('div', { class: 'confirm' }, [
    h('p', { class: 'headline' }, amountMsat === null ? 'You choose the amount' : amount(amountMsat)),
    description ? h('p', { class: 'said' }, description) : h('p', { class: 'detail' }, 'No description'),
    warning && h('div', { class: 'problem', role: 'alert' }, icon('alert'), h('p', {}, warning)),
    facts(
      ['To', [live.nameOf(nodeId) !== shortId(nodeId) && `${live.nameOf(nodeId)} `, idOf(nodeId, 'Node id')]],
      [expired ? 'Expired' : 'Expires', timeOf(decoded.expiresAt)],
      ['Payment hash', idOf(decoded.paymentHash, 'Payment hash')],
    ),
  ])
  const back = (): void => askInvoice(app, dialog, bolt11)
  if (warning) {
    dialog.show('Confirm payment', rows, h('div', { class: 'actions' }, button('Back', back)))
    return
  }
  const act = amountMsat === null ? 'Pay' : `Pay ${satText(amountMsat)}`
  dialog.show(
    'Confirm payment',
    actionForm({ act, run, cancel: dialog.close }, rows, [
      amountMsat === null && field('Amount', sat, { unit: 'sat' }),
      h('details', {}, h('summary', {}, 'Fee limit'), field('Pay at most', fee, { unit: 'sat' })),
    ]),
  )
}

const STATES: Readonly<Record<Payment['status'], readonly [tone: string, text: string]>> = {
  pending: ['plain', 'On its way…'],
  succeeded: ['good', 'Paid'],
  failed: ['bad', 'Not paid'],
}
const UNKNOWN = ['bad', 'Perhaps paid'] as const

/** How a payment goes on, until it is final. */
function showProgress(app: App, dialog: Dialog, first: Payment): void {
  const { live } = app
  const status = h('div', { class: 'status' })
  const about = h('div', {})
  let isFinal = false
  const update = (payment: Payment): void => {
    if (isFinal) return // an answer that was asked for before the last event
    isFinal = payment.status !== 'pending'
    const [tone, text] = payment.status === 'failed' && !isUnpaid(payment) ? UNKNOWN : STATES[payment.status]
    status.className = `status ${tone}`
    put(
      status,
      icon(payment.status === 'succeeded' ? 'check' : payment.status === 'failed' ? 'close' : 'send'),
      h('strong', {}, text),
    )
    put(about, h('p', { class: 'headline' }, amount(payment.amountMsat)), paymentFacts(app, payment))
    announce(payment.failure ? `${text}: ${payment.failure.detail}` : `${text}: ${satText(payment.amountMsat)}`)
  }
  const load = (): void => void live.client.payments.get(first.paymentHash).then(update, () => {})
  live.hear(dialog.signal, (event) => {
    if (event.type.startsWith('payment.') && event.data.paymentHash === first.paymentHash) load()
  })
  update(first)
  const done = button('Done', dialog.close, { kind: 'primary' })
  dialog.show('Payment', h('div', { class: 'invoice' }, status, about, h('div', { class: 'actions' }, done)))
  // It may have ended between its answer and our listening.
  if (live.can('payments:read')) load()
}
