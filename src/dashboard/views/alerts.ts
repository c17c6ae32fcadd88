import type { App } from '../app.ts'
import { h, put } from '../dom.ts'
import { icon } from '../icons.ts'
import { button, timeOf } from '../parts.ts'
import { textOf } from './activity.ts'

/** More than these are counted. */
const SHOWN = 3

export const countOf = (alerts: number): string => `${alerts} alert${alerts === 1 ? '' : 's'}`

/** Takes the alerts out of the way for this session; the log still has them. */
export function seenButton({ live }: App, signal: AbortSignal): HTMLButtonElement {
  const seen = button('Mark as seen', () => live.seeAlerts(), { icon: 'check', kind: 'quiet' })
  live.watchEvents(signal, () => {
    seen.hidden = live.newAlerts().length === 0
  })
  return seen
}

/** What somebody has to know of, until they say that they do. */
export function alertBox(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  const title = h('h2', {})
  const list = h('ul', {})
  const link = h('a', { href: '#/log' }, 'See the log')
  const box = h('section', { class: 'problem', 'aria-label': 'Alerts' }, [
    icon('alert'),
    h('div', {}, title, list, h('div', { class: 'actions' }, link, seenButton(app, signal))),
  ])
  const place = h('div', { class: 'alerts' })
  live.watchEvents(signal, () => {
    const found = live.newAlerts()
    put(place, found.length > 0 && box)
    put(title, found.length > SHOWN ? `${countOf(found.length)}, the newest:` : countOf(found.length))
    put(
      list,
      found.slice(0, SHOWN).map((event) => {
        const { title, detail } = textOf(app, event)
        return h('li', {}, h('strong', {}, title), ' ', timeOf(event.at), h('p', {}, detail))
      }),
    )
  })
  return place
}

/** On every page, when there is one. */
export function alertLink({ live }: App, signal: AbortSignal): HTMLAnchorElement {
  const words = h('span', {})
  const link = h('a', { class: 'alarm', href: '#/log' }, icon('alert'), words)
  live.watchEvents(signal, () => {
    const { length } = live.newAlerts()
    link.hidden = length === 0
    words.textContent = countOf(length)
  })
  return link
}
