import type { Event } from '../../api/schemas.ts'
import type { App } from '../app.ts'
import { h, keyedList } from '../dom.ts'
import { describeEvent, type EventText } from '../eventText.ts'
import { icon } from '../icons.ts'
import { amount, empty, timeOf } from '../parts.ts'

/** A channel by its local or channel id, as the name of its peer. */
const peerOf =
  ({ live }: App) =>
  (channelId: string): string => {
    const channel = live.of.channels.value?.find(({ id, channelId: other }) => id === channelId || other === channelId)
    return channel ? live.nameOf(channel.peer) : 'a channel'
  }

const invoiceOf = ({ live }: App, hash: unknown) =>
  live.of.invoices.value?.items.find((invoice) => invoice.paymentHash === hash)

/** An event in words, with the names of what it is about as far as they are known. */
export const textOf = (app: App, event: Event): EventText =>
  describeEvent(event, {
    nameOf: (id) => app.live.nameOf(id),
    peerOf: peerOf(app),
    invoiceOf: (hash) => invoiceOf(app, hash)?.description ?? '',
    payeeOf: (hash) => {
      const nodeId = app.live.of.payments.value?.items.find((payment) => payment.paymentHash === hash)?.nodeId
      return nodeId ? app.live.nameOf(nodeId) : ''
    },
  })

/** An event as it is shown. */
interface Shown {
  readonly id: number | null
  readonly at: string
  readonly text: EventText
}

function shownOf(app: App, event: Event): Shown {
  const text = textOf(app, event)
  // What an invoice brought is in the list of invoices.
  const received = event.type === 'invoice.settled' ? invoiceOf(app, event.data.paymentHash)?.receivedMsat : null
  return { id: event.id, at: event.at, text: typeof received === 'number' ? { ...text, msat: received } : text }
}

function row({ text, at }: Shown): HTMLLIElement {
  const { msat = 0 } = text
  return h('li', { class: 'row' }, [
    h('span', { class: `badge ${text.tone}` }, icon(text.icon)),
    h(
      'div',
      { class: 'main' },
      h('strong', {}, text.title),
      text.detail && h('span', { class: 'detail' }, text.detail),
    ),
    h('div', { class: 'side' }, [
      msat !== 0 && h('span', { class: msat > 0 ? 'in' : '' }, amount(msat, { signed: true })),
      timeOf(at),
    ]),
  ])
}

export interface ActivityOptions {
  readonly accepts: () => (event: Event) => boolean
  readonly limit: number
  readonly none: string
}

/** Events as a list that grows at the top. @returns the list, and a function to call when `accepts` answers otherwise */
export function activity(
  app: App,
  signal: AbortSignal,
  { accepts, limit, none }: ActivityOptions,
): { element: HTMLElement; update: () => void } {
  const list = h('ul', { class: 'rows' })
  const nothing = empty(none)
  const show = keyedList<Shown>(list, { key: ({ id, at, text }) => `${id ?? `${at} ${text.title}`}`, render: row })
  const update = (): void => {
    const events = app.live.events.filter(accepts()).slice(0, limit)
    show(events.map((event) => shownOf(app, event)))
    nothing.hidden = events.length > 0
  }
  app.live.watchEvents(signal, update)
  // Names and amounts that are known later.
  const { live } = app
  const { of } = live
  if (live.can('node:read')) for (const one of [of.peers, of.aliases]) one.watch(signal, update)
  if (live.can('channels:read')) of.channels.watch(signal, update)
  if (live.can('invoices:read')) of.invoices.watch(signal, update)
  if (live.can('payments:read')) of.payments.watch(signal, update)
  return { element: h('div', {}, list, nothing), update }
}
