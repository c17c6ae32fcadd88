import { concatBytes, EMPTY, equalBytes } from '../base/bytes.ts'
import { FulmenError } from '../base/errors.ts'
import { pack, unpack } from '../base/pack.ts'
import type { SecretStore } from '../crypto/shachain.ts'
import { type Htlc, type HtlcAdd, type IncomingStage, type OutgoingStage, revokedHtlc } from './htlc.ts'
import { type HtlcTable, htlcTable } from './htlcTable.ts'
import { encodeRevoked } from './revokedRecord.ts'
import type {
  Channel,
  ChannelState,
  ClosedState,
  ClosingState,
  Commitments,
  FundedState,
  OfflineState,
  SyncingState,
  WaitingForPeerState,
} from './state.ts'
import { recount } from './totals.ts'
import type { Removal } from './types.ts'

/**
 * How a channel lies in the store: a few small records, so that a payment rewrites only what it changed.
 *
 *   core              the phase and the commitments' numbers
 *   fixed             what changes rarely: parameters, basepoints, the funding transaction, policies
 *   signatures        the peer's signatures on our newest commitment
 *   stages            where every HTLC stands
 *   add/<d>/<id>      an HTLC as it was offered, with its onion; d is `out` or `in`
 *   removal/<d>/<id>  how it is removed
 *   secret/<slot>     the peer's revealed secrets, 32 B each
 *   onchain           the end on chain
 *   revoked/<d>/<id>  what is left of an HTLC once it has left the channel: read only to punish
 */
export const REVOKED_PREFIX = 'revoked/'

/** One write: a put, or a delete when value is absent. The store puts the channel's id before the key. */
export interface ChannelOp {
  readonly key: string
  readonly value?: Uint8Array
}

/** A stored channel that cannot be read. */
export class ChannelRecordError extends FulmenError {
  /** Nothing is wrong with it: a newer program wrote it. */
  readonly isNewer: boolean
  constructor(message: string, isNewer = false) {
    super('CHANNEL_RECORD', message)
    this.isNewer = isNewer
  }
}

const VERSION = 1
const OUT_STAGES: readonly OutgoingStage[] = [
  'proposed',
  'signed',
  'acked',
  'committed',
  'removing',
  'removed',
  'removalSigned',
  'presumed',
]
const IN_STAGES: readonly IncomingStage[] = [
  'proposed',
  'received',
  'signed',
  'committed',
  'removing',
  'removalSigned',
  'removalAcked',
  'presumed',
]
const STAGES = { out: OUT_STAGES, in: IN_STAGES } as const
type Direction = 'out' | 'in'

type StoredState =
  | FundedState
  | OfflineState
  | SyncingState
  | ClosingState
  | WaitingForPeerState
  | (ClosedState & { readonly channel: Channel })

/** Before the funding is bound nothing is stored: the channel is forgotten (BOLT 2 §message-retransmission). */
function isStored(state: ChannelState | null): state is StoredState {
  if (state === null) return false
  if ('from' in state) return true
  return state.tag !== 'await-funding-signed' && 'channel' in state && state.channel !== null
}

const channelIn = (state: StoredState): Channel => ('from' in state ? state.from.channel : state.channel)

// ---------------------------------------------------------------- the small records

type Core = ReturnType<typeof coreOf>
type Fixed = ReturnType<typeof fixedOf>

/** A phase without its channel. */
function phaseOf(state: StoredState) {
  const {
    channel: _,
    onchain: __,
    ...phase
  } = 'from' in state ? { ...state.from, onchain: null } : { onchain: null, ...state }
  return phase
}

function coreOf(state: StoredState) {
  const channel = channelIn(state)
  const { commitments, funding, localReady, remoteReady, announcement, closings, unproven, restored } = channel
  const { nextOutgoingId, nextIncomingId, feeUpdates, local, remote, remoteSigned, remoteNextPoint, secrets } =
    commitments
  return {
    version: VERSION,
    link: 'from' in state ? state.tag : null,
    peerBehind: state.tag === 'syncing' && state.peerBehind,
    phase: phaseOf(state),
    confirmed: funding.confirmed,
    ...(funding.rival !== undefined && { rival: funding.rival }),
    localReady,
    remoteReady,
    announced: announcement.sent,
    ...(closings && { closings }),
    unproven: unproven === true,
    ...(restored && { restored }),
    ...(channel.toldPoint && { toldPoint: channel.toldPoint }),
    ...(channel.ownStages && { ownStages: channel.ownStages }),
    numbers: { nextOutgoingId, nextIncomingId, feeUpdates, local, remote, remoteSigned, remoteNextPoint },
    secretCount: secrets.count,
    ...(onchainOf(state) !== null && { onchain: true }),
  }
}

const fixedParts = (c: Channel): readonly unknown[] => [
  c.params,
  c.funding.tx,
  c.funding.ancestors,
  c.relay,
  c.announcement.remote,
  c.remoteAlias,
  c.theirFeatures,
  ...c.commitments.active.map((a) => a.funding),
]

function fixedOf(c: Channel) {
  return {
    params: c.params,
    fundingTx: c.funding.tx,
    ...(c.funding.ancestors && { fundingAncestors: c.funding.ancestors }),
    relay: c.relay,
    announcement: c.announcement.remote,
    remoteAlias: c.remoteAlias,
    theirFeatures: c.theirFeatures,
    fundings: c.commitments.active.map(({ signature: _, htlcSignatures: __, ...base }) => base),
  }
}

/** 64 B each: that of the commitment, then those of its HTLCs. */
const signaturesOf = (c: Commitments): readonly Uint8Array[] =>
  c.active.map((a) => concatBytes(a.signature, ...a.htlcSignatures))

const signaturesEqual = (a: Commitments, b: Commitments): boolean =>
  a.active.length === b.active.length && a.active.every((x, i) => x.signature === b.active[i]!.signature)

/** Four numbers for each HTLC: id, stage, remoteFrom, remoteTo. */
function stagesOf(table: HtlcTable, direction: Direction): readonly number[] {
  const stages: readonly string[] = STAGES[direction]
  const flat: number[] = []
  for (const chunk of table.chunks) {
    for (const h of chunk) flat.push(Number(h.add.id), stages.indexOf(h.stage), h.remoteFrom, h.remoteTo)
  }
  return flat
}

// ---------------------------------------------------------------- what to write

const keyOf = (kind: 'add' | 'removal' | 'revoked', direction: Direction, id: bigint): string =>
  `${kind}/${direction}/${id.toString().padStart(16, '0')}`

/**
 * The writes that make what is stored for `prev` into what is stored for `next`; prev is the state of the last batch, or null.
 * States are compared by reference, so that only what changed is written.
 */
export function channelOps(prev: ChannelState | null, next: ChannelState): readonly ChannelOp[] {
  if (prev === next || !isStored(next)) return []
  const before = isStored(prev) ? prev : null
  const ops: ChannelOp[] = []
  const put = (key: string, value: unknown): void => void ops.push({ key, value: pack(value) })
  const was = before && channelIn(before)
  const is = channelIn(next)
  put('core', coreOf(next))
  if (!was || !sameParts(fixedParts(was), fixedParts(is))) put('fixed', fixedOf(is))
  const [c0, c1] = [was?.commitments, is.commitments]
  if (!c0 || !signaturesEqual(c0, c1)) put('signatures', signaturesOf(c1))
  if (c0?.outgoing !== c1.outgoing || c0?.incoming !== c1.incoming) {
    put('stages', { out: stagesOf(c1.outgoing, 'out'), in: stagesOf(c1.incoming, 'in') })
    const { dustLimitSat } = is.params.remote
    for (const direction of ['out', 'in'] as const) {
      const tables =
        direction === 'out' ? ([c0?.outgoing, c1.outgoing] as const) : ([c0?.incoming, c1.incoming] as const)
      htlcOps(tables, { direction, leastMsat: dustLimitSat * 1000n }, ops)
    }
  }
  if (c0?.secrets !== c1.secrets) secretOps(c0?.secrets, c1.secrets, ops)
  const [end0, end1] = [before && onchainOf(before), onchainOf(next)]
  if (end1 === null && end0 !== null) ops.push({ key: 'onchain' })
  else if (end1 !== end0) put('onchain', end1)
  return ops
}

const sameParts = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i])

const onchainOf = (state: StoredState) => (state.tag === 'closing' || state.tag === 'closed' ? state.onchain : null)

/** Both tables' HTLCs outside the chunks that they share at both ends. */
function changedParts(before: HtlcTable | undefined, after: HtlcTable): readonly [readonly Htlc[], readonly Htlc[]] {
  const a = before?.chunks ?? []
  const b = after.chunks
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return [a.slice(start, a.length - end).flat(), b.slice(start, b.length - end).flat()]
}

function htlcOps(
  [before, after]: readonly [HtlcTable | undefined, HtlcTable],
  { direction, leastMsat }: { readonly direction: Direction; readonly leastMsat: bigint },
  ops: ChannelOp[],
): void {
  const [old, now] = changedParts(before, after)
  let i = 0
  for (const htlc of now) {
    for (; i < old.length && old[i]!.add.id < htlc.add.id; i++) dropOps(old[i]!, direction, leastMsat, ops)
    const was = i < old.length && old[i]!.add.id === htlc.add.id ? old[i++]! : null
    const { id } = htlc.add
    if (was?.add !== htlc.add) ops.push({ key: keyOf('add', direction, id), value: pack(htlc.add) })
    if ((was?.removal ?? null) === htlc.removal) continue
    const key = keyOf('removal', direction, id)
    ops.push(htlc.removal === null ? { key } : { key, value: pack(htlc.removal) })
  }
  for (; i < old.length; i++) dropOps(old[i]!, direction, leastMsat, ops)
}

/** The HTLC is gone; what is needed to punish the commitments that it stood in stays. */
function dropOps(htlc: Htlc, direction: Direction, leastMsat: bigint, ops: ChannelOp[]): void {
  const { id, amountMsat } = htlc.add
  ops.push({ key: keyOf('add', direction, id) })
  if (htlc.removal !== null) ops.push({ key: keyOf('removal', direction, id) })
  if (htlc.remoteFrom === 0 || amountMsat < leastMsat) return
  ops.push({ key: keyOf('revoked', direction, id), value: encodeRevoked(revokedHtlc(htlc, direction)) })
}

const slotKey = (slot: number): string => `secret/${slot.toString().padStart(2, '0')}`

function secretOps(before: SecretStore | undefined, after: SecretStore, ops: ChannelOp[]): void {
  for (let slot = 0; 32 * slot < after.secrets.length; slot++) {
    const now = after.secrets.subarray(32 * slot, 32 * slot + 32)
    const was = before?.secrets.subarray(32 * slot, 32 * slot + 32) ?? EMPTY
    if (!equalBytes(was, now)) ops.push({ key: slotKey(slot), value: now.slice() })
  }
}

// ---------------------------------------------------------------- reading back

/**
 * The stored state of a channel, exactly as it was.
 * @param records every record under the channel's id, keys without it; those of settled HTLCs may be left out
 * @throws ChannelRecordError when a record is missing or of another version; any error when one is damaged
 */
export function loadChannel(records: Iterable<readonly [string, Uint8Array]>): ChannelState {
  const map = new Map(records)
  const need = <T>(key: string): T => {
    const value = map.get(key)
    if (!value) throw new ChannelRecordError(`the record "${key}" is missing`)
    return unpack<T>(value)
  }
  const core = need<Core>('core')
  if (core.version !== VERSION)
    throw new ChannelRecordError(`channel record of version ${core.version}, not ${VERSION}`, core.version > VERSION)
  const fixed = need<Fixed>('fixed')
  const channel = loadChannelRecord(core, fixed, need, map)
  const onchain = core.onchain || map.has('onchain') ? need<ClosingState['onchain']>('onchain') : null
  const { phase } = core
  const withChannel = { ...phase, channel }
  if (core.link === null)
    return (
      phase.tag === 'closing' || phase.tag === 'closed' ? { ...withChannel, onchain } : withChannel
    ) as ChannelState
  const from = withChannel as FundedState
  return core.link === 'offline' ? { tag: 'offline', from } : { tag: 'syncing', from, peerBehind: core.peerBehind }
}

function loadChannelRecord(
  core: Core,
  fixed: Fixed,
  need: <T>(key: string) => T,
  map: ReadonlyMap<string, Uint8Array>,
): Channel {
  const signatures = need<readonly Uint8Array[]>('signatures')
  const stages = need<Readonly<Record<Direction, readonly number[]>>>('stages')
  const load = (direction: Direction): HtlcTable => {
    const flat = stages[direction]
    const htlcs: Htlc[] = []
    for (let i = 0; i < flat.length; i += 4) {
      const id = BigInt(flat[i]!)
      const stage = STAGES[direction][flat[i + 1]!]
      if (stage === undefined) throw new ChannelRecordError('the record "stages" is damaged')
      const key = keyOf('removal', direction, id)
      htlcs.push({
        add: need<HtlcAdd>(keyOf('add', direction, id)),
        stage,
        remoteFrom: flat[i + 2]!,
        remoteTo: flat[i + 3]!,
        removal: map.has(key) || stage.startsWith('remov') ? need<Removal>(key) : null,
      })
    }
    return htlcTable(htlcs)
  }
  const active = fixed.fundings.map((base, i) => {
    const bytes = signatures[i]!
    const htlcSignatures: Uint8Array[] = []
    for (let at = 64; at < bytes.length; at += 64) htlcSignatures.push(bytes.slice(at, at + 64))
    return { ...base, signature: bytes.slice(0, 64), htlcSignatures }
  })
  const commitments: Omit<Commitments, 'next'> = {
    active,
    outgoing: load('out'),
    incoming: load('in'),
    ...core.numbers,
    secrets: loadSecrets(core.secretCount, map),
  }
  return {
    params: fixed.params,
    commitments: { ...commitments, next: recount(fixed.params, commitments) },
    funding: {
      tx: fixed.fundingTx,
      ...(fixed.fundingAncestors && { ancestors: fixed.fundingAncestors }),
      confirmed: core.confirmed,
      ...(core.rival !== undefined && { rival: core.rival }),
    },
    relay: fixed.relay,
    announcement: { sent: core.announced, remote: fixed.announcement },
    localReady: core.localReady,
    remoteReady: core.remoteReady,
    remoteAlias: fixed.remoteAlias,
    theirFeatures: fixed.theirFeatures,
    ...(core.closings && { closings: core.closings }),
    ...(core.unproven && { unproven: true }),
    ...(core.restored && { restored: true }),
    ...(core.toldPoint && { toldPoint: core.toldPoint }),
    ...(core.ownStages && { ownStages: core.ownStages }),
  }
}

/** One slot more each time that their number reaches another power of two (crypto/shachain.ts). */
function loadSecrets(count: number, map: ReadonlyMap<string, Uint8Array>): SecretStore {
  const slots: Uint8Array[] = []
  for (let slot = 0; 2 ** slot <= count || map.has(slotKey(slot)); slot++) {
    const value = map.get(slotKey(slot))
    if (value?.length !== 32) throw new ChannelRecordError(`the record "${slotKey(slot)}" is missing or damaged`)
    slots.push(value)
  }
  return { count, secrets: concatBytes(...slots) }
}
