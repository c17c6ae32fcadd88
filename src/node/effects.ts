import type { Logger } from 'pino'
import { formatScid, outpointKey, type Txid } from '../base/ids.ts'
import { channelOf, onchainOf, rebroadcasts } from '../channel/describe.ts'
import type { ChannelContext, ChannelEvent, Effect, Fault } from '../channel/types.ts'
import { WalletError } from '../wallet/errors.ts'
import type { Standing } from '../wallet/status.ts'
import { type Broadcast, Bumper, isHeldBack } from './bumper.ts'
import type { ChannelEntry, Channels } from './channels.ts'
import type { EventData, EventType } from './events.ts'
import type { Outbox } from './outbox.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'
import { revokedIn } from './revokedHtlcs.ts'
import { Sweeper } from './sweeper.ts'

/** What ends channels: the wallet's coins from those build on it, and it has no record of it. */
const endsOf = (channels: Channels): ReadonlyMap<Txid, Standing> =>
  new Map(
    channels.all().flatMap(({ state }) => {
      const closing = onchainOf(state)?.closing
      return closing ? [[closing.txid, closing]] : []
    }),
  )

type OtherEffect = Exclude<Effect, { tag: 'relay' }>

/** The name under which the wallet locks a channel's coins. */
export const fundingOwner = (entry: ChannelEntry): string => `channel:${entry.meta.localId}`

export interface EffectsOptions {
  readonly parts: () => NodeParts
  readonly channels: Channels
  readonly outbox: Outbox
  readonly log: Logger
  readonly context: (entry: ChannelEntry) => ChannelContext
  /** Our half of an announcement is known, or the relay policy changed. */
  readonly onGossip: (entry: ChannelEntry, scope: TurnScope) => void
}

/** Does what the channel core asks for. Whatever leaves the process leaves after the turn is on disk. */
export class Effects {
  readonly #options: EffectsOptions
  readonly #replies = new Map<number, (result: 'done' | Fault) => void>()
  readonly #bumper: Bumper
  readonly #sweeper: Sweeper
  /** Funding transactions on their way to the chain, and whom to tell. */
  readonly #publishing = new WeakMap<ChannelEntry, () => void>()
  /** Commitments whose settled HTLCs are being read. */
  readonly #loading = new Set<string>()
  #nextRequest = 1

  constructor(options: EffectsOptions) {
    this.#options = options
    this.#bumper = new Bumper(options, (entry, scope) => this.republish(entry, scope))
    this.#sweeper = new Sweeper(options)
  }

  /** A number for a command, and its answer once that is durable. */
  request(): { readonly requestId: number; readonly answer: Promise<'done' | Fault> } {
    const requestId = this.#nextRequest++
    const answer = new Promise<'done' | Fault>((resolve) => this.#replies.set(requestId, resolve))
    return { requestId, answer }
  }

  apply(entry: ChannelEntry, effect: OtherEffect, scope: TurnScope): void {
    const { outbox, parts } = this.#options
    switch (effect.tag) {
      case 'send': {
        const link = parts().peers.link(entry.meta.peer)
        if (link) outbox.push(link, effect.message)
        return
      }
      case 'broadcast':
        return this.#broadcast(entry, effect, scope)
      case 'fund':
        return this.#fund(entry, effect)
      case 'releaseFunding':
        return parts().wallet.release(fundingOwner(entry))
      case 'notify':
        return this.#notify(entry, effect.event, scope)
      case 'reply':
        return this.#reply(effect.requestId, effect.result, scope)
      case 'disconnect': {
        const link = parts().peers.link(entry.meta.peer)
        if (link) parts().peers.hangUp(link, effect.reason, scope)
        return
      }
      case 'gossip':
        return this.#options.onGossip(entry, scope)
      case 'loadRevokedHtlcs':
        return this.#loadRevoked(entry, effect.commitmentNumber, scope)
    }
  }

  /**
   * After a block that the channels and the wallet have taken in. A closing channel has published what it needs when it was told of the
   * block; only where there were no coins to pay for that, the block may have brought some, or set some free.
   */
  afterBlock(entry: ChannelEntry, scope: TurnScope): void {
    if (entry.state.tag !== 'closing' || this.#bumper.isPoor(entry)) this.republish(entry, scope)
    else this.#bumper.tidy(entry, scope)
    this.#bumper.free(entry, scope)
  }

  /** What should be in the mempool as long as it is not confirmed. */
  republish(entry: ChannelEntry, scope: TurnScope): void {
    this.#bumper.tidy(entry, scope)
    for (const effect of rebroadcasts(entry.state, this.#options.context(entry))) {
      if (effect.tag !== 'relay') this.apply(entry, effect, scope)
    }
  }

  #reply(requestId: number, result: 'done' | Fault, scope: TurnScope): void {
    const resolve = this.#replies.get(requestId)
    this.#replies.delete(requestId)
    if (resolve) scope.after(() => resolve(result))
  }

  #fund(entry: ChannelEntry, effect: Extract<Effect, { tag: 'fund' }>): void {
    const { channels, parts } = this.#options
    const { amountSat, scriptPubKey, feeratePerKw } = effect
    const { state } = entry
    const isAnchors = state.tag === 'await-funding' && state.proposal.channelType === 'anchors'
    try {
      const built = parts().wallet.fund({
        outputs: [{ amountSat, scriptPubKey }],
        feeratePerKw,
        owner: fundingOwner(entry),
        reserveSat: parts().reserves.inAll(isAnchors ? 1 : 0),
      })
      const ancestors = parts().wallet.ancestorsOf(built.tx, endsOf(channels))
      channels.deliver(entry, { tag: 'funded', tx: built.tx, outputIndex: built.outputIndexes[0]!, ancestors })
    } catch (e) {
      if (!(e instanceof WalletError)) throw e
      channels.deliver(entry, { tag: 'fundingFailed', reason: e.message })
    }
  }

  #broadcast(entry: ChannelEntry, effect: Broadcast, scope: TurnScope): void {
    const parts = this.#options.parts()
    if (effect.purpose === 'funding') return this.#publishFunding(entry, effect, scope)
    if (effect.anchor) return this.#bumper.commitment(entry, { ...effect, anchor: effect.anchor }, scope)
    if (effect.share) return this.#sweeper.take(entry, effect, effect.share, scope)
    if (effect.addFees !== undefined) return void this.#bumper.htlc(entry, effect, effect.addFees, scope)
    scope.after(() => {
      if (effect.purpose === 'commitment' && isHeldBack(entry.state)) return
      void parts.broadcast(effect.tx, effect.purpose).catch(() => {})
    })
  }

  /**
   * The wallet takes a funding transaction as sent in a turn of its own, once the channel is on disk: the other way round, a crash that
   * left the wallet's records alone would have it pay into a channel that nobody knows.
   */
  #publishFunding(entry: ChannelEntry, { tx, purpose }: Broadcast, scope: TurnScope): void {
    const parts = this.#options.parts()
    const { wallet, reactor } = parts
    const publish = (later: TurnScope): void => {
      wallet.sent(tx, { label: `open channel ${entry.meta.localId}` })
      wallet.release(fundingOwner(entry))
      later.after(() => {
        const handed = parts.broadcast(tx, purpose).catch(() => {})
        void handed.then(() => this.#publishing.get(entry)?.())
      })
    }
    if (!this.#publishing.has(entry)) this.#publishing.set(entry, () => {})
    scope.after(() => reactor.post(publish))
  }

  /** Resolves once the funding transaction that is on its way has been handed to the chain, or after the time. */
  fundingPublished(entry: ChannelEntry, timeoutMs: number): Promise<void> {
    if (!this.#publishing.has(entry)) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#publishing.delete(entry)
        resolve()
      }
      const timer = setTimeout(done, timeoutMs)
      this.#publishing.set(entry, done)
    })
  }

  /** Once at a time: it is asked for with each spend of a block, and there may be a million records. */
  #loadRevoked(entry: ChannelEntry, commitmentNumber: number, scope: TurnScope): void {
    const name = `${entry.meta.localId}:${commitmentNumber}`
    if (this.#loading.has(name)) return
    this.#loading.add(name)
    const { channels, parts, log } = this.#options
    const { driver, reactor } = parts()
    const load = async (): Promise<void> => {
      const { htlcs, unreadable } = await revokedIn(driver, entry.meta.localId, commitmentNumber)
      if (unreadable > 0) log.error({ channel: entry.meta.localId, unreadable }, 'records of revoked HTLCs are damaged')
      reactor.post((later) => {
        channels.deliver(entry, { tag: 'revokedHtlcs', commitmentNumber, htlcs })
        channels.drain(later)
      })
    }
    const read = (): Promise<void> => load().catch((e) => log.error({ err: e }, 'revoked HTLCs cannot be read'))
    scope.after(() => void read().finally(() => this.#loading.delete(name)))
  }

  #notify(entry: ChannelEntry, event: ChannelEvent, scope: TurnScope): void {
    const { parts, log } = this.#options
    const { events, changes } = parts()
    const { localId, peer } = entry.meta
    const about = { id: localId, peer }
    const channel = channelOf(entry.state)
    // Before there is money of ours in it a channel is only what the peer says, as often as it likes.
    const isTalk = channel === null || (!channel.params.isOpener && channel.funding.confirmed === null)
    const emit = (type: EventType, data: EventData, ofPeer = isTalk): boolean => {
      if (ofPeer) return events.emitOfPeer(scope, peer, type, data)
      events.emit(scope, type, data)
      return true
    }
    scope.after(() => changes.notify(`channel:${localId}`))
    switch (event.tag) {
      case 'pending':
        emit('channel.pending', { ...about, funding: outpointKey(event.funding) })
        return
      case 'ready':
        emit('channel.ready', {
          ...about,
          shortChannelId: event.shortChannelId === null ? null : formatScid(event.shortChannelId),
        })
        return
      case 'closing':
        emit('channel.closing', { ...about, how: event.how, txid: event.txid })
        return
      case 'closed':
        emit('channel.closed', {
          ...{ ...about, how: event.how, txid: event.txid },
          ...(event.how === 'never-funded' && { reason: event.reason }),
        })
        return
      case 'fault': {
        const { code, requirement, detail, response } = event.fault
        const message = `${requirement} — ${detail}`
        // A close comes once; a warning comes as often as the peer asks for one.
        const ofPeer = isTalk || response !== 'fail-channel'
        if (!emit('node.alert', { ...about, code, message, byPeer: event.byPeer }, ofPeer)) return
        log.warn({ ...about, code, requirement, detail, byPeer: event.byPeer }, 'channel fault')
        return
      }
    }
  }
}
