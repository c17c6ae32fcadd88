import type { Balance, Channel } from '../../api/schemas.ts'
import type { App, Render } from '../app.ts'
import { type Child, h } from '../dom.ts'
import { isActivity } from '../eventText.ts'
import { satText } from '../format.ts'
import { amount, bar, button, denied, empty, section, shown } from '../parts.ts'
import { activity } from './activity.ts'
import { alertBox } from './alerts.ts'
import { openPay } from './payDialog.ts'
import { openReceive } from './receiveDialog.ts'

const share = (name: string, kind: string, msat: number, note: string): Child =>
  h('li', {}, [
    h('span', { class: `key ${kind}` }),
    h('span', { class: 'name' }, name),
    amount(msat, { whole: true }),
    h('span', { class: 'detail' }, note),
  ])

function balanceCard(app: App, balance: Balance): Child {
  const lightning = balance.channelLocalMsat
  const onchain = (balance.onchainConfirmedSat + balance.onchainUnconfirmedSat) * 1000
  const closing = balance.onchainClosingSat * 1000
  const shares = [
    { value: lightning, kind: 'local' },
    { value: onchain, kind: 'chain' },
    { value: closing, kind: 'closing' },
  ]
  const label = `Lightning ${satText(lightning)}, on chain ${satText(onchain)}, closing ${satText(closing)}`
  const unconfirmed = balance.onchainUnconfirmedSat * 1000
  return [
    h('div', { class: 'hero' }, [
      h(
        'div',
        {},
        h('p', { class: 'eyebrow' }, 'Total balance'),
        h('p', { class: 'total' }, amount(lightning + onchain + closing, { whole: true })),
      ),
      quickActions(app),
    ]),
    bar(shares, label),
    h('ul', { class: 'legend' }, [
      share(
        'Lightning',
        'local',
        lightning,
        balance.channelPendingMsat > 0 ? `${satText(balance.channelPendingMsat)} on the way` : 'in channels',
      ),
      share('On chain', 'chain', onchain, unconfirmed > 0 ? `${satText(unconfirmed)} not confirmed` : 'confirmed'),
      closing > 0 && share('Closing', 'closing', closing, 'yours after a delay'),
    ]),
  ]
}

function quickActions(app: App): HTMLElement {
  const receive = app.live.can('invoices:write') && button('Receive', () => openReceive(app), { icon: 'receive' })
  const pay = app.live.can('payments:send') && button('Pay', () => openPay(app), { icon: 'send', kind: 'primary' })
  return h('div', { class: 'quick' }, receive, pay)
}

function liquidity(balance: Balance): Child {
  const { channelSendableMsat: send, channelReceivableMsat: receive } = balance
  const label = `Can send ${satText(send)}, can receive ${satText(receive)}`
  return [
    h('div', { class: 'ends' }, [
      h('span', {}, h('span', { class: 'detail' }, 'Can send'), amount(send, { whole: true })),
      h('span', {}, h('span', { class: 'detail' }, 'Can receive'), amount(receive, { whole: true })),
    ]),
    bar(
      [
        { value: send, kind: 'local' },
        { value: receive, kind: 'remote' },
      ],
      label,
    ),
  ]
}

function miniChannel({ live }: App, channel: Channel): HTMLLIElement {
  const { localMsat, remoteMsat, peer, usable, state } = channel
  const label = `Ours ${satText(localMsat)}, theirs ${satText(remoteMsat)}`
  const dot = h('span', { class: `dot ${usable ? 'good' : state === 'normal' ? 'bad' : 'warn'}` })
  return h(
    'li',
    {},
    h('span', { class: 'name' }, dot, live.nameOf(peer)),
    bar(
      [
        { value: localMsat, kind: 'local' },
        { value: remoteMsat, kind: 'remote' },
      ],
      label,
    ),
  )
}

function channelsCard(app: App, signal: AbortSignal): HTMLElement {
  const { live } = app
  const all = h('a', { href: '#/channels' }, 'All channels')
  const balance = live.can('node:read') && shown(live.of.balance, signal, liquidity)
  const list =
    live.can('channels:read') &&
    shown(live.of.channels, signal, (channels) => {
      const open = channels.filter(({ state }) => state !== 'closed')
      if (open.length === 0) return empty('No channels yet.')
      return h(
        'ul',
        { class: 'mini' },
        open.slice(0, 6).map((channel) => miniChannel(app, channel)),
      )
    })
  return section('Liquidity', { actions: all }, balance, list)
}

export const render: Render = (app, signal) => {
  const { live } = app
  const isAllowed = live.can('node:read')
  const feed = activity(app, signal, {
    accepts: () => isActivity,
    limit: 12,
    none: 'Nothing has happened yet. Payments, forwards and channels show up here as they happen.',
  })
  const log = h('a', { href: '#/log' }, 'Whole log')
  return [
    alertBox(app, signal),
    h('section', { class: 'card balance', 'aria-label': 'Balance' }, [
      isAllowed ? shown(live.of.balance, signal, (b) => balanceCard(app, b)) : [denied('node:read'), quickActions(app)],
    ]),
    h('div', { class: 'columns' }, [
      section('Activity', { actions: log, class: 'wide' }, feed.element),
      channelsCard(app, signal),
    ]),
  ]
}
