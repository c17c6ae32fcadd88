import type { Event, Invoice, Page, Payment } from '../../api/schemas.ts'
import type { PageQuery } from '../../client/index.ts'
import type { App, Render } from '../app.ts'
import { openDialog } from '../dialog.ts'
import { type Child, h, keyedList, put } from '../dom.ts'
import { sentence, shortId } from '../format.ts'
import { icon } from '../icons.ts'
import { amount, button, denied, empty, problemBox, timeOf } from '../parts.ts'
import { PagedResource } from '../resource.ts'
import { activity } from './activity.ts'
import { isEmpty, type ListFilter, listFilter } from './listFilter.ts'
import { openPay } from './payDialog.ts'
import { isUnpaid, openPayment, PAYMENT_TONES } from './paymentDialog.ts'
import { openReceive, showInvoice } from './receiveDialog.ts'

/** A list that goes on with "Show more", and keeps what has not changed in its place. */
export function pagedList<T>(
  resource: PagedResource<T>,
  signal: AbortSignal,
  { key, row, none }: { key: (item: T) => string; row: (item: T) => HTMLLIElement; none: string },
): HTMLElement {
  const list = h('ul', { class: 'rows' })
  const below = h('div', { class: 'below loading', 'aria-busy': 'true' })
  const show = keyedList(list, { key, render: row })
  const more = async (): Promise<void> => {
    try {
      await resource.more()
    } catch (error) {
      put(below, problemBox(error))
    }
  }
  resource.watch(signal, () => {
    below.removeAttribute('aria-busy')
    below.className = 'below'
    const { value, error } = resource
    if (!value) return put(below, problemBox(error))
    show(value.items)
    put(
      below,
      value.items.length === 0 && empty(none),
      value.nextCursor !== null && button('Show more', () => void more()),
    )
  })
  return h('div', {}, list, below)
}

/** The list, and fields that choose among what is in it. */
function chosenList<T>(
  app: App,
  until: AbortSignal,
  {
    all,
    list,
    kind,
    ...show
  }: {
    all: PagedResource<T>
    list: (query: PageQuery & ListFilter) => Promise<Page<T>>
    kind: string
    key: (item: T) => string
    row: (item: T) => HTMLLIElement
    none: string
  },
): Child {
  const body = h('div')
  let ending = new AbortController()
  const open = (filter: ListFilter): void => {
    ending.abort()
    ending = new AbortController()
    const signal = AbortSignal.any([until, ending.signal])
    const some = isEmpty(filter) ? all : new PagedResource((page) => list({ ...page, ...filter }), show.key)
    if (some !== all) app.live.keep(some, [kind], signal)
    put(body, pagedList(some, signal, some === all ? show : { ...show, none: 'None of these then.' }))
  }
  open({})
  return [h('div', { class: 'filter' }, listFilter(app, until, open)), body]
}

/** A row that opens what it is about. */
export const rowButton = (onclick: () => void, ...children: Child[]): HTMLLIElement =>
  h('li', {}, h('button', { type: 'button', class: 'row', onclick }, ...children))

const paymentRow = (app: App, payment: Payment): HTMLLIElement => {
  const { status, nodeId, paymentHash, failure } = payment
  return rowButton(
    () => openPayment(app, payment),
    [
      h('span', { class: `badge ${PAYMENT_TONES[status]}` }, icon('send')),
      h('span', { class: 'main' }, [
        h('strong', {}, nodeId === null ? shortId(paymentHash) : `To ${app.live.nameOf(nodeId)}`),
        h(
          'span',
          { class: 'detail' },
          failure ? failure.detail : status === 'pending' ? 'On its way' : `${shortId(paymentHash)}`,
        ),
      ]),
      h('span', { class: 'side' }, [
        h('span', { class: isUnpaid(payment) ? 'void' : '' }, amount(-payment.amountMsat)),
        timeOf(payment.createdAt),
      ]),
    ],
  )
}

const INVOICE_TONES = {
  open: 'plain',
  accepted: 'warn',
  settled: 'good',
  cancelled: 'plain',
  expired: 'plain',
} as const

const invoiceRow = (app: App, invoice: Invoice): HTMLLIElement => {
  const { status, description, amountMsat, receivedMsat, createdAt, settledAt, paymentHash } = invoice
  const msat = receivedMsat ?? amountMsat
  return rowButton(
    () => showInvoice(app, openDialog(), invoice),
    [
      h('span', { class: `badge ${INVOICE_TONES[status]}` }, icon('receive')),
      h('span', { class: 'main' }, [
        h('strong', {}, description || 'No description'),
        h('span', { class: 'detail' }, status === 'settled' ? shortId(paymentHash) : sentence(status)),
      ]),
      h('span', { class: 'side' }, [
        h(
          'span',
          { class: status === 'settled' ? 'in' : 'void' },
          msat === null ? 'any amount' : amount(msat, { signed: status === 'settled' }),
        ),
        timeOf(settledAt ?? createdAt),
      ]),
    ],
  )
}

const isForward = (event: Event): boolean => event.type.startsWith('forward.')

type Tab = readonly [name: string, show: (signal: AbortSignal) => Child]

/** Tabs as the ARIA pattern has them: arrows move between them. */
function tabs(label: string, all: readonly Tab[], signal: AbortSignal): Child {
  const panel = h('div', { role: 'tabpanel', id: 'panel', tabindex: 0 })
  let ending = new AbortController()
  const choose = (at: number): void => {
    ending.abort()
    ending = new AbortController()
    for (const [i, tab] of buttons.entries()) {
      tab.setAttribute('aria-selected', String(i === at))
      tab.tabIndex = i === at ? 0 : -1
    }
    panel.setAttribute('aria-labelledby', `tab-${at}`)
    put(panel, all[at]![1](AbortSignal.any([signal, ending.signal])))
  }
  const buttons = all.map(([name], at) =>
    h(
      'button',
      { type: 'button', role: 'tab', id: `tab-${at}`, 'aria-controls': 'panel', onclick: () => choose(at) },
      name,
    ),
  )
  const onkeydown = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    const at = (buttons.indexOf(event.target as HTMLButtonElement) + step + buttons.length) % buttons.length
    choose(at)
    buttons[at]?.focus()
  }
  choose(0)
  return [h('div', { role: 'tablist', 'aria-label': label, onkeydown }, buttons), panel]
}

export const render: Render = (app, signal) => {
  const { live } = app
  // Names of those who were paid.
  if (live.can('node:read')) live.of.aliases.watch(signal, () => {})
  const sent = (until: AbortSignal): Child =>
    live.can('payments:read')
      ? chosenList(app, until, {
          all: live.of.payments,
          list: live.client.payments.list,
          kind: 'payment',
          key: (p) => p.id,
          row: (p) => paymentRow(app, p),
          none: 'Nothing has been paid yet.',
        })
      : denied('payments:read')
  const received = (until: AbortSignal): Child =>
    live.can('invoices:read')
      ? chosenList(app, until, {
          all: live.of.invoices,
          list: live.client.invoices.list,
          kind: 'invoice',
          key: (i) => i.id,
          row: (i) => invoiceRow(app, i),
          none: 'No invoices yet.',
        })
      : denied('invoices:read')
  const forwards = (until: AbortSignal): Child =>
    activity(app, until, {
      accepts: () => isForward,
      limit: 200,
      none: 'No payments of others have come through lately. They show up here as they happen.',
    }).element
  const quick = h('div', { class: 'quick' }, [
    live.can('invoices:write') && button('Receive', () => openReceive(app), { icon: 'receive' }),
    live.can('payments:send') && button('Pay', () => openPay(app), { icon: 'send', kind: 'primary' }),
  ])
  return [
    quick,
    h(
      'section',
      { class: 'card', 'aria-label': 'Payments' },
      tabs(
        'Kinds of payments',
        [
          ['Sent', sent],
          ['Received', received],
          ['Forwarded', forwards],
        ],
        signal,
      ),
    ),
  ]
}
