import type { Invoice } from '../../api/schemas.ts'
import { announce } from '../announce.ts'
import type { App } from '../app.ts'
import { actionForm, type Dialog, field, openDialog, satInput, select } from '../dialog.ts'
import { type Child, h, put } from '../dom.ts'
import { parseSat, satText } from '../format.ts'
import { icon } from '../icons.ts'
import { amount, button, copyBox, qr, timeOf } from '../parts.ts'

/** Asks for an invoice's fields, then shows it and waits with it for the payment. */
export function openReceive(app: App): void {
  const dialog = openDialog()
  const sat = satInput({ placeholder: 'Any amount' })
  const description = h('input', { type: 'text', maxlength: 600, autocomplete: 'off', placeholder: 'What it is for' })
  const expiry = select(
    [
      ['3600', '1 hour'],
      ['86400', '1 day'],
      ['604800', '1 week'],
    ],
    '86400',
  )
  const run = async (): Promise<void> => {
    const invoice = await app.live.client.invoices.create({
      ...(sat.value.trim() !== '' && { amountMsat: parseSat(sat.value) * 1000 }),
      description: description.value,
      expirySeconds: Number(expiry.value),
    })
    if (app.live.can('invoices:read')) app.live.of.invoices.touch()
    showInvoice(app, dialog, invoice)
  }
  dialog.show(
    'Receive',
    actionForm(
      { act: 'Create invoice', run },
      field('Amount', sat, { unit: 'sat', hint: 'Leave it empty to let the payer choose.' }),
      field('Description', description, { hint: 'The payer sees it.' }),
      field('Valid for', expiry),
    ),
  )
}

const STATES: Readonly<Record<Invoice['status'], readonly [tone: string, text: string]>> = {
  open: ['plain', 'Waiting for the payment'],
  accepted: ['warn', 'The payment is held'],
  settled: ['good', 'Paid'],
  cancelled: ['bad', 'Cancelled'],
  expired: ['bad', 'Expired'],
}

/** What an invoice is and how it stands, kept current while the dialog is open. */
export function showInvoice(app: App, dialog: Dialog, first: Invoice): void {
  const { live } = app
  const { bolt11, amountMsat, description, paymentHash } = first
  const status = h('div', { class: 'status' })
  const update = (invoice: Invoice): void => {
    const [tone, text] = STATES[invoice.status]
    status.className = `status ${tone}`
    const isPaid = invoice.status === 'settled'
    const received = isPaid && invoice.receivedMsat !== null ? amount(invoice.receivedMsat) : null
    put(status, icon(isPaid ? 'check' : 'receive'), h('strong', {}, text), received)
    const isOpen = invoice.status === 'open'
    put(code, isOpen && [qr(bolt11.toUpperCase(), 'QR code of the invoice'), copyBox(bolt11, 'Invoice')])
    put(act, isOpen && live.can('invoices:write') && button('Cancel invoice', () => void cancel(), { kind: 'quiet' }))
    if (isPaid) announce(`Paid: ${satText(invoice.receivedMsat ?? 0)}`)
  }
  const cancel = async (): Promise<void> => {
    try {
      update(await live.client.invoices.cancel(paymentHash))
      live.of.invoices.touch()
    } catch (error) {
      announce(error instanceof Error ? error.message : 'It could not be cancelled', { toast: true, tone: 'bad' })
    }
  }
  const code = h('div', { class: 'code' })
  const act = h('div', { class: 'actions' })
  const about: Child = [
    h('p', { class: 'headline' }, amountMsat === null ? 'Any amount' : amount(amountMsat)),
    description && h('p', { class: 'said' }, description),
    h('p', { class: 'detail' }, 'Expires ', timeOf(first.expiresAt)),
  ]
  update(first)
  dialog.show('Invoice', h('div', { class: 'invoice' }, status, code, about, act))
  live.hear(dialog.signal, (event) => {
    if (!event.type.startsWith('invoice.') || event.data.paymentHash !== paymentHash) return
    live.client.invoices.get(paymentHash).then(update, () => {})
  })
}
