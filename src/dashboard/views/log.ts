import type { Event } from '../../api/schemas.ts'
import type { Render } from '../app.ts'
import { field, select } from '../dialog.ts'
import { h } from '../dom.ts'
import { isActivity } from '../eventText.ts'
import { section } from '../parts.ts'
import { activity } from './activity.ts'
import { alertList } from './alertList.ts'
import { logLines } from './logLines.ts'

const kind =
  (...names: string[]) =>
  (event: Event): boolean =>
    names.some((name) => event.type.startsWith(`${name}.`))

const FILTERS: Readonly<Record<string, readonly [text: string, accepts: (event: Event) => boolean]>> = {
  all: ['Everything', () => true],
  activity: ['Money and channels', isActivity],
  payments: ['Payments and invoices', kind('payment', 'invoice')],
  forwards: ['Forwards', kind('forward')],
  channels: ['Channels and peers', kind('channel', 'peer')],
  chain: ['Chain and wallet', kind('chain', 'wallet')],
  keys: ['Keys', kind('key')],
}

export const render: Render = (app, signal) => {
  const filter = select(
    Object.entries(FILTERS).map(([value, [text]]) => [value, text] as const),
    'all',
  )
  const all = activity(app, signal, {
    accepts: () => FILTERS[filter.value]?.[1] ?? (() => true),
    limit: 300,
    none: 'Nothing of this kind yet.',
  })
  filter.addEventListener('change', all.update)
  return [
    alertList(app, signal),
    logLines(app, signal),
    section('Events', { actions: h('div', { class: 'filter' }, field('Show', filter)) }, all.element),
  ]
}
