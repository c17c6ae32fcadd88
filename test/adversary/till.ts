import { toHex } from '../../src/base/bytes.ts'
import type { ChannelId } from '../../src/base/ids.ts'
import type { Msat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { getHtlc } from '../../src/channel/htlcTable.ts'
import type { HtlcEvent, IncomingHtlc } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { ChannelEntry, Channels } from '../../src/node/channels.ts'
import type { ClaimRoom } from '../../src/node/claimRoom.ts'
import { outgoingChannel } from '../../src/node/holdings.ts'
import { decideForward, forwardFee, onForwardResult } from '../../src/payment/forward.ts'
import { HOLD_RELEASE_BLOCKS } from '../../src/payment/incoming.ts'
import type { ForwardOnion } from '../../src/payment/peel.ts'
import { DEFAULT_FORWARD_LIMITS, type ForwardRecord, type PaymentEffect } from '../../src/payment/types.ts'
import type { Book } from './book.ts'
import type { HonestName } from './purse.ts'

const FINAL_DELTA = 18
export const ONION = new Uint8Array(1366)
const REASON = new Uint8Array(292)
const SHARED = new Uint8Array(32).fill(9)

/** What a node is owed, and what it owes. */
export interface Ledger {
  /** Outgoing HTLCs whose preimage it knows, by channel and id; msat. */
  readonly paid: Map<string, bigint>
  /** Incoming HTLCs that it has let the preimage go for. */
  readonly owed: Map<string, bigint>
  /** Outgoing HTLCs that it was told have failed. */
  readonly failed: Map<string, bigint>
}

export interface TillOptions {
  readonly name: HonestName
  readonly book: Book
  readonly channels: () => Channels
  readonly height: () => number
  readonly claims: ClaimRoom
}

/** The payments of an honest node: invoices, held ones, forwards by the real rules, and the book of who is owed what. */
export class Till {
  readonly ledger: Ledger = { paid: new Map(), owed: new Map(), failed: new Map() }
  readonly forwards = new Map<string, ForwardRecord>()
  readonly holds = new Set<string>()
  /** Payments that there was no room for yet. */
  readonly #waiting = new Map<string, IncomingHtlc>()
  readonly #options: TillOptions

  constructor(options: TillOptions) {
    this.#options = options
  }

  /** What a channel tells of an HTLC. */
  relay(entry: ChannelEntry, event: HtlcEvent): void {
    if (event.tag === 'received') return this.#received(entry, event.htlc)
    if (event.tag === 'rejected') return this.result(event)
    const key = `${entry.meta.localId}:${event.id}`
    const htlc = getHtlc(channelOf(entry.state)!.commitments.outgoing, event.id)
    const amount = htlc?.add.amountMsat ?? 0n
    if (event.tag === 'failed' && !this.ledger.failed.has(key)) this.ledger.failed.set(key, amount)
    if (event.tag === 'fulfilled') {
      if (htlc && toHex(crypto.sha256(event.preimage)) !== htlc.add.paymentHash)
        throw new Error(`no preimage of ${key}`)
      if (!this.ledger.paid.has(key)) this.ledger.paid.set(key, amount)
      if (event.origin.tag === 'forward') this.#owe(event.origin.channelId, event.origin.htlcId)
    }
    this.result(event)
  }

  /** What became of an HTLC that was passed on goes back. */
  result(event: Exclude<HtlcEvent, { tag: 'received' }>): void {
    if (event.origin.tag !== 'forward') return
    const key = `${event.origin.channelId}:${event.origin.htlcId}`
    const forward = this.forwards.get(key)
    if (forward) this.#effects(onForwardResult(forward, event))
  }

  #owe(channelId: ChannelId, id: bigint): void {
    const entry = this.#options.channels().byChannelId(channelId)!
    const htlc = getHtlc(channelOf(entry.state)!.commitments.incoming, id)
    const key = `${entry.meta.localId}:${id}`
    if (!this.ledger.owed.has(key)) this.ledger.owed.set(key, htlc?.add.amountMsat ?? 0n)
  }

  #received(entry: ChannelEntry, htlc: IncomingHtlc): void {
    const payment = this.#options.book.payments.get(htlc.paymentHash)
    const key = `${htlc.channelId}:${htlc.id}`
    const refuse = (): void => this.#options.channels().command(entry, { tag: 'failHtlc', id: htlc.id, reason: REASON })
    if (htlc.excessDust) return refuse()
    switch (payment?.purpose) {
      case 'invoice':
      case 'hold': {
        if (this.ledger.owed.has(`${entry.meta.localId}:${htlc.id}`)) return
        if (this.#options.name !== 'hal' || htlc.cltvExpiry < this.#options.height() + FINAL_DELTA) return refuse()
        if (!this.#hasRoom(htlc)) {
          this.#waiting.set(key, htlc)
          return
        }
        if (payment.purpose === 'hold') this.holds.add(key)
        else this.#fulfill(htlc.channelId, htlc.id, payment.preimage)
        return
      }
      case 'forward':
        return this.#forward(entry, htlc, key, refuse)
      default:
        return refuse()
    }
  }

  /** By the real rule; what there is room for is taken. */
  #hasRoom(htlc: IncomingHtlc): boolean {
    const key = `${htlc.channelId}:${htlc.id}`
    if (!this.#options.claims.hasRoom([htlc], key)) return false
    this.#options.claims.keep([htlc], key)
    return true
  }

  #fulfill(channelId: ChannelId, id: bigint, preimage: Uint8Array): void {
    this.#owe(channelId, id)
    this.#options
      .channels()
      .command(this.#options.channels().byChannelId(channelId)!, { tag: 'fulfillHtlc', id, preimage })
  }

  #forward(entry: ChannelEntry, htlc: IncomingHtlc, key: string, refuse: () => void): void {
    if (this.forwards.has(key)) return
    const all = this.#options.channels().all()
    const next = all.find((e) => e !== entry)?.meta.peer
    const candidates = all.filter((e) => e.meta.peer === next).flatMap((e) => outgoingChannel(e) ?? [])
    const out = candidates[0]
    if (!out) return refuse()
    const fee = forwardFee(out.relay, htlc.amountMsat)
    const amtToForward = (htlc.amountMsat > fee ? htlc.amountMsat - fee : 0n) as Msat
    const onion: ForwardOnion = {
      tag: 'forward',
      sharedSecret: SHARED,
      blinding: 'none',
      amtToForward,
      outgoingCltvValue: htlc.cltvExpiry - out.relay.cltvExpiryDelta,
      next: { tag: 'node', nodeId: out.remoteNodeId },
      onion: ONION,
      pathKey: null,
    }
    const ctx = { blockHeight: this.#options.height(), channelsTo: () => candidates, limits: DEFAULT_FORWARD_LIMITS }
    const { record, effects } = decideForward(htlc, onion, ctx)
    if (record.outgoingChannelId !== null && !this.#hasRoom(htlc)) return refuse()
    if (record.outgoingChannelId !== null) this.forwards.set(key, record)
    this.#effects(effects)
  }

  #effects(effects: readonly PaymentEffect[]): void {
    for (const effect of effects) {
      if (effect.tag !== 'command') continue
      const entry = this.#options.channels().byChannelId(effect.channelId)
      if (entry) this.#options.channels().command(entry, effect.command)
    }
  }

  /** People settle what they held. */
  settleHold(pick: number): void {
    const held = [...this.holds]
    const key = held[pick % Math.max(1, held.length)]
    const found = key === undefined ? null : this.#heldHtlc(key)
    if (!key || !found) return
    this.holds.delete(key)
    // As the API does: not when it is too late.
    if (found.cltvExpiry <= this.#options.height() + HOLD_RELEASE_BLOCKS) return
    const { preimage } = this.#options.book.payments.get(found.paymentHash)!
    this.#fulfill(found.channelId, found.id, preimage)
  }
  #heldHtlc(key: string) {
    const [channelId, id] = key.split(':') as [ChannelId, string]
    const entry = this.#options.channels().byChannelId(channelId)
    const channel = entry && channelOf(entry.state)
    const htlc = channel && getHtlc(channel.commitments.incoming, BigInt(id))
    return entry && htlc && htlc.removal === null
      ? { channelId, id: BigInt(id), cltvExpiry: htlc.add.cltvExpiry, paymentHash: htlc.add.paymentHash }
      : null
  }
  /** A block came: what is held goes back before its channel would have to be closed over it. */
  reviewHolds(): void {
    for (const [key, htlc] of [...this.#waiting]) {
      this.#waiting.delete(key)
      const entry = this.#options.channels().byChannelId(htlc.channelId)
      if (entry && this.#heldHtlc(key)) this.#received(entry, htlc)
    }
    for (const key of this.holds) {
      const found = this.#heldHtlc(key)
      if (found && found.cltvExpiry > this.#options.height() + HOLD_RELEASE_BLOCKS) continue
      this.holds.delete(key)
      if (found)
        this.#options.channels().command(this.#options.channels().byChannelId(found.channelId)!, {
          tag: 'failHtlc',
          id: found.id,
          reason: REASON,
        })
    }
  }
}
