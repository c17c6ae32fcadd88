import { randomBytes } from 'node:crypto'
import { toHex } from '../../base/bytes.ts'
import { type ChannelId, channelId, formatScid } from '../../base/ids.ts'
import { satToMsat, ZERO_MSAT } from '../../base/units.ts'
import { channelFeerates, perKw, walletFeerate } from '../../chain/fees.ts'
import { type ChannelSummary, channelOf, identifiers, summary } from '../../channel/describe.ts'
import { wantedFeerate } from '../../channel/feerate.ts'
import type { ChannelState } from '../../channel/state.ts'
import type { ChannelCommand, Fault, RelayPolicy } from '../../channel/types.ts'
import type { ChannelEntry } from '../channels.ts'
import { badBodies, badBody, type ServiceCode, ServiceError } from '../errors.ts'
import { leastDelta } from '../margins.ts'
import type { Node } from '../node.ts'
import { pageOfViews } from '../paging.ts'
import { relayPolicy } from '../policy.ts'
import type { TurnScope } from '../reactor.ts'
import { NOT_RESTORED } from '../recovery.ts'
import type { ChannelView, ClosingView, NodeService, OpenChannelRequest } from '../service.ts'
import { scriptOfAddress } from './address.ts'

export type ChannelService = Pick<
  NodeService,
  'openChannel' | 'channels' | 'channel' | 'closeChannel' | 'setChannelPolicy'
>

/** The wallet's own fundings may take longer than a peer's answer, never this long. */
const OPEN_TIMEOUT_MS = 60_000
/** How long the answer waits for the chain to have the funding transaction. */
const PUBLISH_TIMEOUT_MS = 5_000

const CODES: Partial<Record<Fault['code'], ServiceCode>> = {
  INSUFFICIENT_BALANCE: 'INSUFFICIENT_BALANCE',
  CHANNEL_CLOSING: 'CHANNEL_CLOSING',
  CHANNEL_NOT_READY: 'CHANNEL_NOT_READY',
  PEER_OFFLINE: 'PEER_UNREACHABLE',
  FUNDING_FAILED: 'INSUFFICIENT_BALANCE',
  PEER_REFUSED: 'PEER_REFUSED',
}
/** Commands that are refused for what a field of the body says. */
const FIELDS: Partial<Record<Fault['code'], string>> = {
  INVALID_SCRIPT: '/address',
  UNACCEPTABLE_FEERATE: '/feerateSatPerVbyte',
}

/** A command that is answered, without the number of its answer. */
type Wanted<C = ChannelCommand> = C extends { readonly requestId: number } ? Omit<C, 'requestId'> : never

/** A refused command as the API tells it. */
function faultProblem(fault: Fault, otherwise: ServiceCode): ServiceError {
  const detail = `${fault.detail} (${fault.requirement})`
  const pointer = FIELDS[fault.code]
  return pointer === undefined ? new ServiceError(CODES[fault.code] ?? otherwise, detail) : badBody(pointer, detail)
}

function closingView(s: ChannelSummary): ClosingView | null {
  if (!s.closing) return null
  const { how, txid, confirmations, resolved, transactions, unclaimedSat } = s.closing
  return { how, txid, confirmations, resolved, transactions, unclaimedSat }
}

function channelView(node: Node, entry: ChannelEntry): ChannelView {
  const { meta, state } = entry
  const s = summary(state, node.context(entry))
  return {
    id: meta.localId,
    channelId: s.channelId,
    shortChannelId: s.shortChannelId,
    peer: meta.peer,
    peerConnected: node.peers.session(meta.peer) !== undefined,
    state: s.state,
    usable: s.usable && entry.quarantined === null,
    type: s.channelType ?? 'anchors',
    announced: s.announced,
    isOpener: s.isOpener,
    capacitySat: s.capacitySat,
    localMsat: s.localMsat,
    remoteMsat: s.remoteMsat,
    sendableMsat: s.sendableMsat,
    receivableMsat: s.receivableMsat,
    localReserveSat: s.localReserveSat,
    remoteReserveSat: s.remoteReserveSat,
    feeratePerKw: s.feeratePerKw,
    toSelfDelay: s.toSelfDelay,
    policy: s.relay ?? relayPolicy(satToMsat(s.capacitySat)),
    htlcs: s.htlcs.map((h) => ({ ...h, id: Number(h.id) })),
    funding: s.funding,
    fundingConfirmations: s.fundingConfirmations,
    closing: closingView(s),
    waitsFor: entry.quarantined === null ? s.waitsFor : 'the cure of a bug: see the log',
    createdAt: meta.createdAt,
  }
}

/** Whether it is a channel's id, or its short channel id or alias. */
function isNamed(state: ChannelState, id: string): boolean {
  if (!SHORT_ID.test(id)) return channelOf(state)?.params.channelId === id
  return identifiers(state).shortChannelIds.some((scid) => formatScid(scid) === id)
}
const SHORT_ID = /^\d+x\d+x\d+$/

/** Opens, shows, changes and closes channels; commands are answered when they are durable. */
export function channelService(node: Node): ChannelService {
  const { channels, reactor, effects } = node

  const find = (id: string): ChannelEntry => {
    const entry =
      channels.get(id) ??
      channels.byChannelId(id as ChannelId) ??
      channels.all().find((c) => c.meta.replaces === id || isNamed(c.state, id))
    if (entry) return entry
    // Of what there is none of, it would be opened again.
    if (node.damaged.has(id))
      throw new ServiceError('CONFLICT', `a record of the channel ${id} is damaged: ${NOT_RESTORED}`)
    throw new ServiceError('NOT_FOUND', `there is no channel ${id}`)
  }
  const all = (): readonly ChannelEntry[] => [...channels.all()].sort((a, b) => b.meta.seq - a.meta.seq)

  /** @param make in the channel's turn: what to do @throws ServiceError */
  const carryOut = async (entry: ChannelEntry, make: () => Wanted): Promise<ChannelView> => {
    const { answer } = await reactor.run((scope) => {
      const wanted = make()
      const asked = effects.request()
      channels.command(entry, { ...wanted, requestId: asked.requestId } as ChannelCommand)
      channels.drain(scope)
      return asked
    })
    const result = await answer
    if (result !== 'done') throw faultProblem(result, 'CONFLICT')
    return channelView(node, entry)
  }

  return {
    openChannel: (request) => open(node, request),
    async channels(page, { state, peer, open: isOpen }) {
      const view = (entry: ChannelEntry): ChannelView | null => {
        if (peer !== undefined && entry.meta.peer !== peer) return null
        if (isOpen && entry.state.tag === 'closed') return null
        const one = channelView(node, entry)
        return state === undefined || one.state === state ? one : null
      }
      return pageOfViews(all(), { key: ({ meta }) => meta.localId, view }, page)
    },
    channel: async (id) => channelView(node, find(id)),
    async closeChannel(id, { address, force, acceptRisk, feerateSatPerVbyte }) {
      const entry = find(id)
      const scriptPubKey = address === undefined ? undefined : scriptOfAddress(address, node)
      const feeratePerKw = feerateSatPerVbyte === undefined ? undefined : perKw(feerateSatPerVbyte)
      return carryOut(entry, () =>
        force
          ? { tag: 'forceClose', ...(acceptRisk && { evenIfRevoked: true }) }
          : { tag: 'close', ...(scriptPubKey && { scriptPubKey }), ...(feeratePerKw && { feeratePerKw }) },
      )
    },
    async setChannelPolicy(id, change) {
      const entry = find(id)
      // Of what holds in its turn: another change may come before it in that.
      return carryOut(entry, () => ({ tag: 'setPolicy', relay: changedRelay(node, entry, change) }))
    },
  }
}

function changedRelay(node: Node, { state }: ChannelEntry, change: Partial<RelayPolicy>): RelayPolicy {
  const channel = channelOf(state)
  if (!channel) throw new ServiceError('CHANNEL_NOT_READY', 'the channel is not open yet')
  const relay = { ...channel.relay, ...change }
  const least = leastDelta(node.policy)
  const wrong: { pointer: string; detail: string }[] = []
  if (change.cltvExpiryDelta !== undefined && relay.cltvExpiryDelta < least) {
    const detail = `cltvExpiryDelta ${relay.cltvExpiryDelta} leaves no time to enforce a forward on chain: at least ${least}`
    wrong.push({ pointer: '/cltvExpiryDelta', detail })
  }
  if (relay.htlcMinimumMsat > relay.htlcMaximumMsat) {
    const { htlcMinimumMsat, htlcMaximumMsat } = relay
    const pointer = change.htlcMinimumMsat === undefined ? '/htlcMaximumMsat' : '/htlcMinimumMsat'
    const detail = `htlcMinimumMsat would be ${htlcMinimumMsat}, more than htlcMaximumMsat, ${htlcMaximumMsat}`
    wrong.push({ pointer, detail })
  }
  if (wrong.length > 0) throw badBodies(wrong)
  return relay
}

async function open(node: Node, request: OpenChannelRequest): Promise<ChannelView> {
  const { policy, effects } = node
  if (node.storageLow()) throw new ServiceError('STORAGE_LOW', 'disk space is low: free some before opening channels')
  const { capacitySat, pushMsat = ZERO_MSAT } = request
  if (request.peer === node.own.nodeId) throw badBody('/peer', 'that is this node itself')
  if (capacitySat < policy.minFundingSat || capacitySat > policy.maxFundingSat) {
    throw badBody('/capacitySat', `capacitySat must be from ${policy.minFundingSat} to ${policy.maxFundingSat}`)
  }
  if (pushMsat > satToMsat(capacitySat)) throw badBody('/pushMsat', 'pushMsat is more than the capacity')
  const { entry, answer, isOurs } = await node.reactor.run((scope) => ask(node, request, scope))
  const first = await Promise.race([answer, timeout(OPEN_TIMEOUT_MS)])
  if (first === 'timeout' && (await giveUp(node, entry))) {
    throw new ServiceError('PEER_REFUSED', 'the peer did not answer in time: the opening is given up')
  }
  const result = first === 'timeout' ? await answer : first
  if (result !== 'done') throw faultProblem(result, isOurs ? 'LIMIT_EXCEEDED' : 'PEER_REFUSED')
  // Whoever mines the next block expects the transaction in it.
  await effects.fundingPublished(entry, PUBLISH_TIMEOUT_MS)
  return channelView(node, entry)
}

interface Asked {
  readonly entry: ChannelEntry
  readonly answer: Promise<'done' | Fault>
  /** We refuse it ourselves: the peer was not even asked. */
  readonly isOurs: boolean
}

/** Asks the peer for the channel. @throws ServiceError PEER_UNREACHABLE */
function ask(node: Node, request: OpenChannelRequest, scope: TurnScope): Asked {
  const { peers, channels, effects } = node
  const { capacitySat, pushMsat = ZERO_MSAT } = request
  const session = peers.session(request.peer)
  if (!session) {
    const way = 'give its address, too, as nodeId@host:port, or connect it first (POST /v1/peers)'
    throw new ServiceError('PEER_UNREACHABLE', `${request.peer} is not connected: ${way}`)
  }
  const { requestId, answer } = effects.request()
  const meta = node.numbers.take(request.peer, request.id)
  const entry = channels.open(
    meta,
    node.signerFor(meta),
    {
      temporaryChannelId: channelId(toHex(randomBytes(32))),
      remoteNodeId: request.peer,
      capacitySat,
      pushMsat,
      announce: request.announce ?? false,
      channelType: request.type ?? 'anchors',
      feeratePerKw: wantedFeerate(request.type ?? 'anchors', channelFeerates(node.fees()).commitment),
      fundingFeeratePerKw:
        request.feerateSatPerVbyte === undefined ? walletFeerate(node.fees()) : perKw(request.feerateSatPerVbyte),
      theirFeatures: session.theirFeatures,
      relay: relayPolicy(satToMsat(capacitySat), node.margins),
      keyIndex: meta.keyIndex,
      requestId,
    },
    scope,
  )
  channels.drain(scope)
  return { entry, answer, isOurs: entry.state.tag === 'closed' }
}

const UNFUNDED: ReadonlySet<ChannelState['tag']> = new Set(['await-accept', 'await-funding', 'await-funding-signed'])

/**
 * An answer that comes later must not open what the caller was told is given up.
 * @returns false when one has come in the last moment: it decides
 */
const giveUp = (node: Node, entry: ChannelEntry): Promise<boolean> =>
  node.reactor.run((scope) => {
    if (!UNFUNDED.has(entry.state.tag)) return false
    node.channels.command(entry, { tag: 'close', requestId: node.effects.request().requestId })
    node.channels.drain(scope)
    return true
  })

const timeout = (ms: number): Promise<'timeout'> =>
  new Promise((resolve) => {
    setTimeout(() => resolve('timeout'), ms).unref()
  })
