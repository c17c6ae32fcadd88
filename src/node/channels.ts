import type { ChannelId, NodeId, ShortChannelId } from '../base/ids.ts'
import { pack } from '../base/pack.ts'
import { acceptChannel, advance, openChannel } from '../channel/advance.ts'
import { channelOf, committedIncoming, identifiers, isForgettable, knownResults } from '../channel/describe.ts'
import { channelOps } from '../channel/persist.ts'
import { notHeard, rescue } from '../channel/rescue.ts'
import type { ChannelState } from '../channel/state.ts'
import type {
  AcceptParams,
  ChannelCommand,
  ChannelContext,
  ChannelInput,
  ChannelSigner,
  Effect,
  HtlcEvent,
  OpenParams,
  RelayPolicy,
  Turn,
} from '../channel/types.ts'
import { keys } from '../store/schema.ts'
import type { MessageNamed } from '../wire/registry.ts'
import type { TurnScope } from './reactor.ts'

/** What the node keeps of a channel beside its pure state. */
export interface ChannelMeta {
  readonly localId: string
  /** Order of opening, for lists. */
  readonly seq: number
  /** RFC 3339. */
  readonly createdAt: string
  readonly keyIndex: number
  readonly peer: NodeId
  /** Where its funds go when it closes: a wallet script of its own, for its whole life. */
  readonly sweepScriptPubKey: Uint8Array
  /** It came from a backup, in the place of a channel whose record is damaged: the local id of that. */
  readonly replaces?: string
}

export interface ChannelEntry {
  readonly meta: ChannelMeta
  readonly signer: ChannelSigner
  state: ChannelState
  /** What the sealed batches hold; null before the first. */
  stored: ChannelState | null
  /** The message of an unexpected exception: the state stays as it was, only claims with a deadline go on. */
  quarantined: string | null
  /** What it asked for forwarding before the last change, in memory alone. */
  formerRelay?: FormerRelay
}

export interface FormerRelay {
  readonly relay: RelayPolicy
  /** Still taken below this height. */
  readonly until: number
}

/**
 * Blocks for which senders may not have heard of a new policy: one at least, which is 10 minutes, whenever it is changed.
 * @source BOLT 7 §the-channel_update-message, §htlc-fees
 */
const FORMER_BLOCKS = 3

export interface ChannelsOptions {
  readonly context: (entry: ChannelEntry) => ChannelContext
  /** Everything but relays between channels and payments, which stay inside the turn. */
  readonly onEffect: (entry: ChannelEntry, effect: Exclude<Effect, { tag: 'relay' }>, scope: TurnScope) => void
  readonly onRelay: (entry: ChannelEntry, event: HtlcEvent, scope: TurnScope) => void
  /** The set of things to watch, the ids or the usability may have changed. */
  readonly onChanged: (entry: ChannelEntry, before: ChannelState | null, scope: TurnScope) => void
  /** The same, once its results have been told: what is concluded from where a channel stands must not come before what it says. */
  readonly onSettled: (entry: ChannelEntry, scope: TurnScope) => void
  readonly onQuarantine: (entry: ChannelEntry, error: unknown, scope: TurnScope) => void
  /** A bug in what an event or effect called for; thrown on when left out. */
  readonly onUnhandled?: (entry: ChannelEntry, error: unknown, scope: TurnScope) => void
  /** It came to nothing: what was set aside for it is free, and `records` can go once this turn is on disk. */
  readonly onForgotten?: (entry: ChannelEntry, records: readonly string[], scope: TurnScope) => void
}

/**
 * All channels, each with its inbox. An effect that calls for another input only enqueues it; `drain` works the queue off, so that
 * nothing re-enters a channel in the middle of its own turn.
 */
export class Channels {
  readonly #options: ChannelsOptions
  readonly #entries = new Map<string, ChannelEntry>()
  readonly #byChannelId = new Map<ChannelId, ChannelEntry>()
  /** By peer and channel id, temporary ones too: what one peer names never reaches a channel with another. */
  readonly #byPeerAndId = new Map<string, ChannelEntry>()
  readonly #byScid = new Map<ShortChannelId, ChannelEntry>()
  readonly #byPeer = new Map<NodeId, Set<ChannelEntry>>()
  readonly #dirty = new Set<ChannelEntry>()
  /** Changed since they were last asked to sign what waits. */
  #unsigned = new Set<ChannelEntry>()
  /** Changed since there was time for what they will need next. */
  readonly #stirred = new Set<ChannelEntry>()
  #inbox: (readonly [ChannelEntry, ChannelInput])[] = []
  #draining = false

  constructor(options: ChannelsOptions) {
    this.#options = options
  }

  all(): readonly ChannelEntry[] {
    return [...this.#entries.values()]
  }
  get(localId: string): ChannelEntry | undefined {
    return this.#entries.get(localId)
  }
  byChannelId(id: ChannelId): ChannelEntry | undefined {
    return this.#byChannelId.get(id)
  }
  ofPeerById(peer: NodeId, id: ChannelId): ChannelEntry | undefined {
    return this.#byPeerAndId.get(`${peer}:${id}`)
  }
  byScid(scid: ShortChannelId): ChannelEntry | undefined {
    return this.#byScid.get(scid)
  }
  ofPeer(peer: NodeId): readonly ChannelEntry[] {
    return [...(this.#byPeer.get(peer) ?? [])]
  }

  /** From the store, at start. */
  restore(entry: ChannelEntry): void {
    this.#index(entry)
  }

  open(meta: ChannelMeta, signer: ChannelSigner, params: OpenParams, scope: TurnScope): ChannelEntry {
    return this.#create(meta, signer, (ctx) => openChannel(params, ctx), scope)
  }

  accept(
    meta: ChannelMeta,
    signer: ChannelSigner,
    { open, params }: { open: MessageNamed<'open_channel'>; params: AcceptParams },
    scope: TurnScope,
  ): ChannelEntry {
    return this.#create(meta, signer, (ctx) => acceptChannel(open, params, ctx), scope)
  }

  /** A channel that the database does not know, from a backup; written at the end of the turn. */
  adopt(meta: ChannelMeta, signer: ChannelSigner, state: ChannelState, scope: TurnScope): ChannelEntry {
    return this.#create(meta, signer, () => ({ state, effects: [] }), scope)
  }

  /** Puts an input into the channel's inbox; `drain` handles it within this turn. */
  deliver(entry: ChannelEntry, input: ChannelInput): void {
    this.#inbox.push([entry, input])
  }
  command(entry: ChannelEntry, command: ChannelCommand): void {
    this.deliver(entry, { tag: 'command', command })
  }

  /** Handles every waiting input, and those that they cause. */
  drain(scope: TurnScope): void {
    if (this.#draining) return
    this.#draining = true
    let handled = 0
    try {
      while (handled < this.#inbox.length) {
        const [entry, input] = this.#inbox[handled++]!
        this.#step(entry, input, scope)
      }
    } finally {
      // A bug may end a call of the API here, and that alone: what waits is handled by the end of the turn.
      this.#inbox = this.#inbox.slice(handled)
      this.#draining = false
    }
  }

  /**
   * Signs what waits in every channel that this turn touched, also by what another said as it signed; then writes what changed.
   * @returns whether anything has
   */
  endOfTurn(scope: TurnScope): boolean {
    this.drain(scope)
    while (this.#unsigned.size > 0) {
      const due = this.#unsigned
      this.#unsigned = new Set()
      for (const entry of due) this.deliver(entry, { tag: 'sign' })
      this.drain(scope)
    }
    for (const entry of this.#dirty) {
      this.#persist(entry, scope)
      this.#stirred.add(entry)
    }
    const hasChanged = this.#dirty.size > 0
    this.#dirty.clear()
    return hasChanged
  }

  /** The channels that have changed since the last call. */
  takeStirred(): readonly ChannelEntry[] {
    const stirred = [...this.#stirred]
    this.#stirred.clear()
    return stirred
  }

  /** Every result of an HTLC that a channel knows for good: the payment machine may have lost it in a crash. */
  replayResults(scope: TurnScope): void {
    for (const entry of this.#entries.values()) {
      for (const event of knownResults(entry.state)) this.#relay(entry, event, scope)
    }
    this.drain(scope)
  }

  /** Every incoming HTLC that nothing has been decided on. */
  replayIncoming(scope: TurnScope): void {
    for (const entry of this.#entries.values()) {
      for (const htlc of committedIncoming(entry.state)) this.#relay(entry, { tag: 'received', htlc }, scope)
    }
    this.drain(scope)
  }

  #create(
    meta: ChannelMeta,
    signer: ChannelSigner,
    begin: (ctx: ChannelContext) => Turn,
    scope: TurnScope,
  ): ChannelEntry {
    const draft = { meta, signer, state: null as unknown as ChannelState, stored: null, quarantined: null }
    const turn = begin(this.#options.context(draft))
    const entry: ChannelEntry = Object.assign(draft, { state: turn.state })
    this.#index(entry)
    this.#dirty.add(entry)
    this.#options.onChanged(entry, null, scope)
    this.#effects(entry, turn.effects, scope)
    this.#options.onSettled(entry, scope)
    return entry
  }

  #step(entry: ChannelEntry, input: ChannelInput, scope: TurnScope): void {
    const before = entry.state
    const turn = this.#advance(entry, input, scope)
    if (turn === null) return
    entry.state = turn.state
    const isNew = turn.state !== before && changedPhase(before, turn.state)
    if (turn.state !== before) {
      this.#dirty.add(entry)
      if (input.tag !== 'sign') this.#unsigned.add(entry)
    }
    if (isNew) {
      this.#index(entry)
      this.#rememberRelay(entry, before)
      this.#options.onChanged(entry, before, scope)
    }
    this.#effects(entry, turn.effects, scope)
    if (isNew) this.#options.onSettled(entry, scope)
  }

  #rememberRelay(entry: ChannelEntry, before: ChannelState): void {
    const [former, relay] = [channelOf(before)?.relay, channelOf(entry.state)?.relay]
    const names = former && (Object.keys(former) as (keyof RelayPolicy)[])
    if (!former || !relay || !names?.some((name) => former[name] !== relay[name])) return
    entry.formerRelay = { relay: former, until: this.#options.context(entry).blockHeight + FORMER_BLOCKS }
  }

  /** A bug in one channel must not stop the others: the old state is kept, and only the chain goes on. */
  #advance(entry: ChannelEntry, input: ChannelInput, scope: TurnScope): Turn | null {
    const { context, onQuarantine } = this.#options
    try {
      if (entry.quarantined === null) return advance(entry.state, input, context(entry))
    } catch (e) {
      this.setAside(entry, e, scope)
    }
    try {
      const turn = rescue(entry.state, input, context(entry))
      return { ...turn, effects: [...turn.effects, ...notHeard(input, turn)] }
    } catch (e) {
      onQuarantine(entry, e, scope)
      return null
    }
  }

  setAside(entry: ChannelEntry, error: unknown, scope: TurnScope): void {
    if (entry.quarantined !== null) return
    entry.quarantined = error instanceof Error ? (error.stack ?? error.message) : String(error)
    // What it has proposed and nobody signed for will not be: whoever waits for that is told.
    this.deliver(entry, { tag: 'disconnected' })
    this.#options.onQuarantine(entry, error, scope)
  }

  #effects(entry: ChannelEntry, effects: readonly Effect[], scope: TurnScope): void {
    for (const effect of effects) {
      if (effect.tag === 'relay') this.#relay(entry, effect.event, scope)
      else this.apart(entry, scope, () => this.#options.onEffect(entry, effect, scope))
    }
  }

  #relay(entry: ChannelEntry, event: HtlcEvent, scope: TurnScope): void {
    this.apart(entry, scope, () => this.#options.onRelay(entry, event, scope))
  }

  /** Does what a channel has called for; a bug in that is no end of the process (node/apart.ts). */
  apart(entry: ChannelEntry, scope: TurnScope, act: () => void): void {
    const { onUnhandled } = this.#options
    if (!onUnhandled) return act()
    try {
      act()
    } catch (e) {
      onUnhandled(entry, e, scope)
    }
  }

  #persist(entry: ChannelEntry, scope: TurnScope): void {
    if (entry.stored === entry.state) return
    if (isForgettable(entry.state)) return this.#erase(entry, scope)
    const ops = channelOps(entry.stored, entry.state)
    if (entry.state.tag === 'closed' && entry.stored === null && ops.length === 0) return this.#forget(entry, [], scope)
    const { localId } = entry.meta
    if (entry.stored === null && ops.length > 0)
      scope.write({ key: keys.channelMeta(localId), value: pack(entry.meta) })
    for (const op of ops) scope.write({ ...op, key: keys.channel(localId, op.key) })
    if (ops.length > 0) entry.stored = entry.state
  }

  /** First the name under which a start looks for the records, then they themselves: a crash between leaves what nobody reads. */
  #erase(entry: ChannelEntry, scope: TurnScope): void {
    const { localId } = entry.meta
    const records = entry.stored === null ? [] : channelOps(null, entry.stored)
    if (entry.stored !== null) {
      scope.write({ key: keys.channelMeta(localId) })
      // Of a channel whose name alone is gone, this one is still there (node/lostChannels.ts).
      scope.write({ key: keys.channel(localId, 'core') })
    }
    const stored = records.map((op) => keys.channel(localId, op.key))
    this.#forget(entry, stored, scope)
  }

  /** An opening that failed before there was anything to store. */
  #forget(entry: ChannelEntry, records: readonly string[], scope: TurnScope): void {
    const { localId, peer } = entry.meta
    this.#entries.delete(localId)
    const ofPeer = this.#byPeer.get(peer)
    if (ofPeer?.delete(entry) && ofPeer.size === 0) this.#byPeer.delete(peer)
    for (const map of [this.#byChannelId, this.#byScid, this.#byPeerAndId] as Map<unknown, ChannelEntry>[]) {
      for (const [key, value] of map) if (value === entry) map.delete(key)
    }
    this.#options.onForgotten?.(entry, records, scope)
  }

  #index(entry: ChannelEntry): void {
    const { localId, peer } = entry.meta
    this.#entries.set(localId, entry)
    const ofPeer = this.#byPeer.get(peer) ?? new Set()
    this.#byPeer.set(peer, ofPeer.add(entry))
    const ids = identifiers(entry.state)
    for (const id of ids.channelIds) this.#byPeerAndId.set(`${peer}:${id}`, entry)
    // Not by a temporary id, which a peer chooses. None gets to claim the funding of a channel that we know; of one that a backup brings
    // back it may have.
    const id = channelOf(entry.state)?.params.channelId
    const known = id && this.#byChannelId.get(id)
    if (id && (!known || isHearsay(known.state))) this.#byChannelId.set(id, entry)
    // A reorganisation may have put another channel where one was.
    const isNamed = (known: ChannelEntry | undefined, scid: ShortChannelId): boolean =>
      known !== undefined && identifiers(known.state).shortChannelIds.includes(scid)
    for (const scid of ids.shortChannelIds) if (!isNamed(this.#byScid.get(scid), scid)) this.#byScid.set(scid, entry)
  }
}

/** It is there by the word of its peer alone: nothing that funds it is in the chain. */
function isHearsay(state: ChannelState): boolean {
  const channel = channelOf(state)
  return channel !== null && !channel.params.isOpener && channel.funding.confirmed === null && !channel.restored
}

/**
 * Whether ids, watches or usability may have changed. A payment, or a preimage for a channel that is closing, only changes the commitments
 * of a channel in the same phase: it is looked at no further.
 */
function changedPhase(before: ChannelState, after: ChannelState): boolean {
  if (before.tag === 'closing' && after.tag === 'closing')
    return before.onchain !== after.onchain || before.channel.funding !== after.channel.funding
  if (before.tag !== after.tag || before.tag === 'closed') return true
  const [a, b] = [channelOf(before), channelOf(after)]
  if (a === null || b === null) return a !== b
  return (
    a.funding !== b.funding ||
    a.params !== b.params ||
    a.announcement !== b.announcement ||
    a.relay !== b.relay ||
    a.remoteAlias !== b.remoteAlias ||
    a.localReady !== b.localReady ||
    a.remoteReady !== b.remoteReady ||
    a.commitments.active.length !== b.commitments.active.length ||
    before.tag === 'negotiating'
  )
}
