import type { Alert } from '../../api/operatorSchemas.ts'
import { attempt } from '../announce.ts'
import type { App } from '../app.ts'
import { type Child, h, put } from '../dom.ts'
import { alertTitle } from '../eventText.ts'
import { icon } from '../icons.ts'
import { button, timeOf } from '../parts.ts'

/** More than these are counted. */
const SHOWN = 3

const countOf = (alerts: number): string => `${alerts} alert${alerts === 1 ? '' : 's'}`

/** Channels are known by their peers. */
export function reasonOf({ live }: App, { about, reason }: Alert): string {
  const channel = live.of.channels.value?.find(({ id }) => id === about)
  return [channel && `with ${live.nameOf(channel.peer)}`, reason].filter(Boolean).join(' · ')
}

/** Why, and what to do about it. */
export const alertText = (app: App, alert: Alert): Child => [
  h('p', { class: 'detail' }, reasonOf(app, alert)),
  h('p', { class: 'detail' }, `What to do: ${alert.cure}`),
]

/** Takes the alerts out of the way; the list still has them. */
export function seenButton({ live }: App, signal: AbortSignal): HTMLButtonElement {
  const seen = button('Mark as seen', () => void attempt(() => live.seeAlerts()), { icon: 'check', kind: 'quiet' })
  live.watchAlerts(signal, () => {
    seen.hidden = live.newAlerts().length === 0
  })
  return seen
}

/** What somebody has to know of, until they say that they do. */
export function alertBox(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  const title = h('h2', {})
  const list = h('ul', {})
  const link = h('a', { href: '#/log' }, 'All alerts')
  const box = h('section', { class: 'problem', 'aria-label': 'Alerts' }, [
    icon('alert'),
    h('div', {}, title, list, h('div', { class: 'actions' }, link, seenButton(app, signal))),
  ])
  const place = h('div', { class: 'alerts' })
  live.watchAlerts(signal, () => {
    const found = live.newAlerts()
    put(place, found.length > 0 && box)
    put(title, found.length > SHOWN ? `${countOf(found.length)}, the newest:` : countOf(found.length))
    put(
      list,
      found
        .slice(0, SHOWN)
        .map((alert) =>
          h('li', {}, h('strong', {}, alertTitle(alert)), ' ', timeOf(alert.raisedAt), alertText(app, alert)),
        ),
    )
  })
  return place
}

/** On every page, when there is one. */
export function alertLink({ live }: App, signal: AbortSignal): HTMLAnchorElement {
  const words = h('span', {})
  const link = h('a', { class: 'alarm', href: '#/log' }, icon('alert'), words)
  live.watchAlerts(signal, () => {
    const { length } = live.newAlerts()
    link.hidden = length === 0
    words.textContent = countOf(length)
  })
  return link
}
