import type { Alert } from '../../api/operatorSchemas.ts'
import type { App } from '../app.ts'
import { h, keyedList } from '../dom.ts'
import { alertTitle } from '../eventText.ts'
import { grouped } from '../format.ts'
import { icon } from '../icons.ts'
import { chip, denied, empty, section, timeOf } from '../parts.ts'
import { PagedResource } from '../resource.ts'
import { alertText, reasonOf, seenButton } from './alerts.ts'
import { pagedList } from './payments.ts'

function row(app: App, alert: Alert): HTMLLIElement {
  const { severity, count, raisedAt, clearedAt, acknowledgedAt } = alert
  const tone = clearedAt !== null ? 'plain' : severity === 'problem' ? 'bad' : 'warn'
  const isSeen = clearedAt === null && acknowledgedAt !== null
  return h('li', { class: 'row delivery' }, [
    h('span', { class: `badge ${tone}` }, icon(clearedAt === null ? 'alert' : 'check')),
    h('div', { class: 'main' }, [
      h('p', {}, [
        h('strong', {}, alertTitle(alert)),
        isSeen && [' ', chip('Seen')],
        count > 1 && h('span', { class: 'detail' }, ` ${grouped(count)} times`),
      ]),
      clearedAt === null ? alertText(app, alert) : h('p', { class: 'detail' }, reasonOf(app, alert)),
    ]),
    h('div', { class: 'side' }, timeOf(clearedAt ?? raisedAt)),
  ])
}

/** What is wrong now, and what was. */
export function alertList(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  if (!live.can('node:read')) return section('Alerts', {}, denied('node:read'))
  const list = h('ul', { class: 'rows' })
  const none = empty('No alerts. Good.')
  const show = keyedList<Alert>(list, { key: ({ id }) => id, render: (alert) => row(app, alert) })
  const update = (): void => {
    const { value = [] } = live.of.alerts
    show(value)
    none.hidden = value.length > 0
  }
  live.watchAlerts(signal, update)
  if (live.can('channels:read')) live.of.channels.watch(signal, update)
  const cleared = new PagedResource<Alert>(
    (page) => live.client.alerts.list({ ...page, state: 'cleared' }),
    ({ id }) => id,
  )
  live.keep(cleared, ['node', 'key'], signal)
  const past = h('details', {}, [
    h('summary', {}, 'Alerts that are over'),
    pagedList(cleared, signal, { key: ({ id }) => id, row: (alert) => row(app, alert), none: 'There was none.' }),
  ])
  return section('Alerts', { actions: seenButton(app, signal) }, list, none, past)
}
