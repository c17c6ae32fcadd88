import type { Channel, Peer } from '../../api/schemas.ts'
import { announce } from '../announce.ts'
import type { App, Render } from '../app.ts'
import { actionForm, confirmDialog, field, openDialog } from '../dialog.ts'
import { type Child, h, keyedList, put } from '../dom.ts'
import { blocksText, grouped, satText, sentence, shortId } from '../format.ts'
import {
  amount,
  amountOfSat,
  bar,
  button,
  chip,
  denied,
  empty,
  facts,
  idOf,
  problemBox,
  section,
  shown,
  timeOf,
} from '../parts.ts'
import { openClose, openOpen, openPolicy, openRaise } from './channelDialogs.ts'

const ENDING = new Set(['shutdown', 'negotiating', 'closing'])

function stateOf({ state, usable, peerConnected }: Channel): HTMLSpanElement {
  if (usable) return chip('Ready', 'good')
  if (state === 'normal') return chip(peerConnected ? 'Not ready' : 'Peer is away', 'bad')
  if (state === 'closed') return chip('Closed')
  return chip(ENDING.has(state) ? 'Closing' : sentence(state), 'warn')
}

function liquidityOf(channel: Channel): Child {
  const { localMsat, remoteMsat, capacitySat } = channel
  const pending = Math.max(0, capacitySat * 1000 - localMsat - remoteMsat)
  const label = `Ours ${satText(localMsat)}, theirs ${satText(remoteMsat)}, of ${satText(capacitySat * 1000)}`
  return [
    h('div', { class: 'ends' }, [
      h('span', {}, h('span', { class: 'detail' }, 'Ours'), amount(localMsat, { whole: true })),
      h('span', {}, h('span', { class: 'detail' }, 'Theirs'), amount(remoteMsat, { whole: true })),
    ]),
    bar(
      [
        { value: localMsat, kind: 'local' },
        { value: pending, kind: 'pending' },
        { value: remoteMsat, kind: 'remote' },
      ],
      label,
    ),
  ]
}

const HOW = {
  cooperative: 'Together',
  'local-force': 'By force, by us',
  'remote-force': 'By force, by them',
  revoked: 'They published a revoked state',
}

function closingFacts({
  how,
  transactions,
  confirmations,
  resolved,
  unclaimedSat,
}: NonNullable<Channel['closing']>): Child {
  return [
    facts(
      ['Close', HOW[how]],
      ['Confirmations', grouped(confirmations)],
      ['Everything settled', resolved ? 'yes' : 'not yet'],
      unclaimedSat > 0 && ['Left unclaimed', amountOfSat(unclaimedSat)],
    ),
    h(
      'ul',
      { class: 'transactions' },
      transactions.map(({ txid, kind, confirmed, feeSat }) =>
        h('li', {}, [
          chip(sentence(kind), confirmed ? 'good' : 'warn'),
          idOf(txid, 'Transaction id'),
          feeSat !== null && h('span', { class: 'detail' }, `fee ${satText(feeSat * 1000)}`),
        ]),
      ),
    ),
  ]
}

function detailsOf(channel: Channel): HTMLDetailsElement {
  const { policy, htlcs } = channel
  return h('details', {}, h('summary', {}, 'Details'), [
    channel.closing && closingFacts(channel.closing),
    facts(
      ['Can send', amount(channel.sendableMsat)],
      ['Can receive', amount(channel.receivableMsat)],
      ['Our reserve', amountOfSat(channel.localReserveSat)],
      ['Fee for forwards', `${satText(policy.feeBaseMsat)} + ${grouped(policy.feeProportionalMillionths)} ppm`],
      [
        'Under way',
        htlcs.length === 0
          ? 'nothing'
          : `${htlcs.length} HTLC${htlcs.length === 1 ? '' : 's'}, ${satText(htlcs.reduce((sum, x) => sum + x.amountMsat, 0))}`,
      ],
      ['After a force close', `ours after ${blocksText(channel.toSelfDelay)}`],
      [
        'Type',
        `${sentence(channel.type)}, ${channel.announced ? 'announced' : 'private'}, opened by ${channel.isOpener ? 'us' : 'them'}`,
      ],
      ['Opened', timeOf(channel.createdAt)],
      channel.shortChannelId !== null && ['Short channel id', h('code', {}, channel.shortChannelId)],
      channel.channelId !== null && ['Channel id', idOf(channel.channelId, 'Channel id')],
      channel.funding !== null && ['Funding', idOf(channel.funding, 'Funding outpoint')],
      ['Peer', idOf(channel.peer, 'Node id')],
    ),
  ])
}

/** A channel as its card shows it. */
interface Shown {
  readonly channel: Channel
  readonly name: string
  readonly mayRaise: boolean
}

/** `option_simple_close`, required or optional. @source BOLT 9 */
const SIMPLE_CLOSE = 60n

/** Whether a close together still waits for a block, with a peer that takes part in raising its fee. */
function canRaise({ live }: App, { closing, peer, peerConnected }: Channel): boolean {
  if (closing?.how !== 'cooperative' || closing.confirmations > 0 || !peerConnected) return false
  const features = live.of.peers.value?.find(({ nodeId }) => nodeId === peer)?.features
  return Boolean(features) && ((BigInt(`0x${features}`) >> SIMPLE_CLOSE) & 3n) !== 0n
}

function card(app: App, { channel, name, mayRaise }: Shown): HTMLLIElement {
  const isOpen = channel.state !== 'closed'
  const mayChange = app.live.can('channels:write') && isOpen
  return h('li', { class: 'card channel' }, [
    h('header', {}, h('h2', {}, name), stateOf(channel)),
    h('p', { class: 'detail' }, [
      satText(channel.capacitySat * 1000),
      channel.shortChannelId !== null && ` · ${channel.shortChannelId}`,
    ]),
    liquidityOf(channel),
    channel.waitsFor !== null && h('p', { class: 'waits' }, `Waits for ${channel.waitsFor}`),
    detailsOf(channel),
    mayChange &&
      h('div', { class: 'actions' }, [
        button('Fees', () => openPolicy(app, channel), { kind: 'quiet', label: `Fees of the channel with ${name}` }),
        button('Close…', () => openClose(app, channel), {
          kind: 'quiet',
          label: `Close the channel with ${name}`,
          disabled: channel.state === 'closing' || channel.state === 'waiting-for-peer',
        }),
        mayRaise &&
          button('Raise the fee…', () => openRaise(app, channel), {
            kind: 'quiet',
            label: `Raise the fee of closing the channel with ${name}`,
          }),
      ]),
  ])
}

function channelList(app: App, signal: AbortSignal): Child {
  const { channels, peers, aliases } = app.live.of
  const open = h('ul', { class: 'cards' })
  const closed = h('ul', { class: 'cards' })
  const render = (item: Shown): HTMLLIElement => card(app, item)
  const key = ({ channel }: Shown): string => channel.id
  const [showOpen, showClosed] = [keyedList(open, { key, render }), keyedList(closed, { key, render })]
  const none = h('div', {})
  const past = h('details', { class: 'past' }, h('summary', {}, 'Closed channels'), closed)
  const update = (): void => {
    if (!channels.value) return put(none, channels.error !== undefined && problemBox(channels.error))
    const all = channels.value.map(
      (channel): Shown => ({ channel, name: app.live.nameOf(channel.peer), mayRaise: canRaise(app, channel) }),
    )
    const living = all.filter(({ channel }) => channel.state !== 'closed')
    const dead = all.filter(({ channel }) => channel.state === 'closed')
    showOpen(living)
    showClosed(dead)
    past.hidden = dead.length === 0
    put(
      none,
      living.length === 0 && h('div', { class: 'card' }, empty('No channels yet. Open one to pay and be paid.')),
    )
  }
  channels.watch(signal, update)
  if (app.live.can('node:read')) for (const one of [peers, aliases]) one.watch(signal, update)
  return [open, none, past]
}

function peerRow(app: App, peer: Peer): HTMLLIElement {
  const { nodeId, alias, address, connected } = peer
  const name = alias || shortId(nodeId)
  const disconnect = (): void =>
    confirmDialog(
      `Disconnect ${name}?`,
      { act: 'Disconnect', run: () => app.live.client.peers.disconnect(nodeId).then(() => app.live.of.peers.touch()) },
      h('p', {}, 'Its address is forgotten as well. A peer with channels stays connected until they are closed.'),
    )
  return h('li', { class: 'row' }, [
    h('span', { class: `dot ${connected ? 'good' : 'bad'}` }),
    h(
      'div',
      { class: 'main' },
      h('strong', {}, name),
      h('span', { class: 'detail' }, [connected ? 'connected' : 'away', address && ` · ${address}`]),
    ),
    idOf(nodeId, `Node id of ${name}`),
    app.live.can('peers:write') && button('Disconnect', disconnect, { kind: 'quiet', label: `Disconnect ${name}` }),
  ])
}

function openConnect(app: App): void {
  const dialog = openDialog()
  const uri = h('input', { type: 'text', autocomplete: 'off', spellcheck: false, placeholder: 'nodeId@host:9735' })
  const run = async (): Promise<void> => {
    const peer = await app.live.client.peers.connect(uri.value.trim())
    app.live.of.peers.touch()
    announce(`Connected to ${peer.alias || shortId(peer.nodeId)}`, { toast: true, tone: 'good' })
    dialog.close()
  }
  dialog.show(
    'Connect a peer',
    actionForm(
      { act: 'Connect', run, cancel: dialog.close },
      field('Address', uri, { hint: 'The node is reconnected after a restart.' }),
    ),
  )
}

export const render: Render = (app, signal) => {
  const { live } = app
  const open =
    live.can('channels:write') && button('Open channel', () => openOpen(app), { icon: 'plus', kind: 'primary' })
  const connect = live.can('peers:write') && button('Connect', () => openConnect(app), { icon: 'plus' })
  const peers = live.can('node:read') || live.can('peers:write')
  return [
    h('div', { class: 'quick' }, open),
    live.can('channels:read') ? channelList(app, signal) : denied('channels:read'),
    section(
      'Peers',
      { actions: connect },
      peers
        ? shown(live.of.peers, signal, (all) =>
            all.length === 0
              ? empty('No peers yet.')
              : h(
                  'ul',
                  { class: 'rows' },
                  all.map((peer) => peerRow(app, peer)),
                ),
          )
        : denied('node:read'),
    ),
  ]
}
