import { fromHex, toHex } from '../../src/base/bytes.ts'
import type { ChannelId, NodeId, PaymentHash } from '../../src/base/ids.ts'
import { type Msat, msat, sat } from '../../src/base/units.ts'
import type { Fault, HtlcFailure, HtlcOrigin, IncomingHtlc } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { buildErrorPacket, wrapErrorPacket } from '../../src/onion/errorPacket.ts'
import type { OnionFailure } from '../../src/onion/failure.ts'
import { sharedSecretsOf } from '../../src/onion/sphinx.ts'
import { decideForward, onForwardResult } from '../../src/payment/forward.ts'
import { type IncomingContext, newInvoice, receiveHtlc, tickInvoice } from '../../src/payment/incoming.ts'
import { onPaymentInput, type PaymentContext, type PaymentInput, startPayment } from '../../src/payment/outgoing.ts'
import { peelIncoming } from '../../src/payment/peel.ts'
import {
  DEFAULT_FORWARD_LIMITS,
  type ForwardRecord,
  type ForwardResult,
  type HtlcCommand,
  type InvoiceRecord,
  type OutgoingChannel,
  type PaymentAttempt,
  type PaymentEffect,
  type PaymentRecord,
  type PaymentTarget,
} from '../../src/payment/types.ts'
import { Graph } from '../../src/routing/graph.ts'
import type { LocalChannel } from '../../src/routing/types.ts'
import { channelId, type Policy, scid, update } from '../routing/network.ts'

export const HEIGHT = 500
export const FINAL_DELTA = 18
/** When payments begin, Unix ms. */
export const NOW = 1_000_000

const secretOf = (n: number): Uint8Array => new Uint8Array(32).fill(n + 1)
export const SECRETS: readonly Uint8Array[] = Array.from({ length: 8 }, (_, n) => secretOf(n))
/** Ids of the nodes with those secrets. */
export const IDS: readonly NodeId[] = SECRETS.map((s) => toHex(crypto.publicKey(s)) as NodeId)

export const preimageOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
export const hashOf = (preimage: Uint8Array): PaymentHash => toHex(crypto.sha256(preimage)) as PaymentHash

/** A payment of 1,000,000 msat in up to 8 parts, as an invoice without hints and metadata asks for it. */
export const paymentTarget = (payee: NodeId, more: Partial<PaymentTarget> = {}): PaymentTarget => ({
  payee,
  amountMsat: msat(1_000_000n),
  maxFeeMsat: msat(100_000n),
  maxParts: 8,
  deadline: NOW + 60_000,
  finalCltvDelta: FINAL_DELTA,
  paymentSecret: new Uint8Array(32).fill(1),
  paymentMetadata: null,
  keysendPreimage: null,
  routeHints: [],
  bolt11: null,
  ...more,
})

/** What hop h of an attempt would send back. */
export function failureFrom(attempt: PaymentAttempt, hop: number, failure: OnionFailure): HtlcFailure {
  const nodes = attempt.hops.map((h) => fromHex(h.nodeId))
  const secrets = sharedSecretsOf(attempt.sessionKey, nodes)
  let reason = buildErrorPacket(secrets[hop]!, failure, 1000)
  for (let i = hop - 1; i >= 0; i--) reason = wrapErrorPacket(secrets[i]!, reason)
  return { tag: 'onion', reason }
}

export interface WorldChannel {
  readonly ends: readonly [number, number]
  /** msat of each end. */
  readonly balances: [bigint, bigint]
  /** What each end asks for relaying out over the channel. */
  readonly policies: readonly [Policy, Policy]
}

interface Flight {
  readonly channel: number
  readonly from: number
  readonly to: number
  readonly htlc: IncomingHtlc
  readonly origin: HtlcOrigin
}

/** What a node does with an HTLC that it was offered, instead of what it should. */
export type Mischief = 'none' | 'timeout' | 'garble' | 'reject' | 'unreadable'

/** A network of nodes that talk at once and in order, with channels that are only balances. */
export class World {
  readonly channels: readonly WorldChannel[]
  readonly invoices = new Map<string, InvoiceRecord>()
  readonly payments = new Map<PaymentHash, { payer: number; record: PaymentRecord }>()
  readonly events: { node: number; type: string }[] = []
  readonly offered: { origin: HtlcOrigin; amountMsat: Msat; from: number }[] = []
  readonly graph = new Graph()
  mischief: (node: number, htlc: IncomingHtlc) => Mischief = () => 'none'
  now = NOW
  readonly #flights = new Map<string, Flight>()
  readonly #forwards = new Map<string, ForwardRecord>()
  readonly #queue: (() => void)[] = []
  #nextHtlc = 0n
  #entropy = 0

  constructor(channels: readonly WorldChannel[]) {
    this.channels = channels
    channels.forEach((c, i) => {
      const [nodeId1, nodeId2] = c.ends.map((n) => IDS[n]!).sort() as [NodeId, NodeId]
      const capacitySat = sat((c.balances[0] + c.balances[1]) / 1000n + 1n)
      this.graph.addChannel({ shortChannelId: scid(i + 1), nodeId1, nodeId2, capacitySat, features: new Uint8Array(0) })
      for (const side of [0, 1] as const) {
        const direction = IDS[c.ends[side]] === nodeId1 ? 0 : 1
        this.graph.applyUpdate(update(i + 1, direction, c.policies[side]))
      }
    })
  }

  get total(): bigint {
    const inFlight = [...this.#flights.values()].reduce((sum, f) => sum + f.htlc.amountMsat, 0n)
    return this.channels.reduce((sum, c) => sum + c.balances[0] + c.balances[1], inFlight)
  }
  get inFlight(): number {
    return this.#flights.size
  }
  balance(node: number): bigint {
    return this.channels.reduce(
      (sum, c) => sum + (c.ends[0] === node ? c.balances[0] : c.ends[1] === node ? c.balances[1] : 0n),
      0n,
    )
  }
  localChannels(node: number): LocalChannel[] {
    return this.channels.flatMap((c, i) => {
      const side = c.ends.indexOf(node)
      if (side < 0) return []
      return [
        {
          channelId: channelId(i),
          shortChannelId: scid(i + 1),
          remoteNodeId: IDS[c.ends[1 - side]!]!,
          sendableMsat: c.balances[side]! as Msat,
          htlcMinimumMsat: 1n as Msat,
        },
      ]
    })
  }
  context(node: number): PaymentContext {
    return {
      now: this.now,
      blockHeight: HEIGHT,
      nodeId: IDS[node]!,
      graph: this.graph,
      localChannels: this.localChannels(node),
      entropy: crypto.sha256(Uint8Array.of(++this.#entropy, this.#entropy >> 8)),
    }
  }
  get incomingContext(): IncomingContext {
    return { now: this.now, blockHeight: HEIGHT, acceptKeysend: true, minFinalCltvExpiryDelta: FINAL_DELTA }
  }

  /** @returns the target of a payment to the invoice */
  invoice(payee: number, preimage: Uint8Array, amount: bigint, more: Partial<InvoiceRecord> = {}): PaymentTarget {
    const paymentSecret = preimage.map((b) => b ^ 0xff)
    const base = {
      paymentHash: hashOf(preimage),
      preimage,
      paymentSecret,
      amountMsat: msat(amount),
      minFinalCltvExpiryDelta: FINAL_DELTA,
      bolt11: null,
      description: null,
      createdAt: this.now,
      expiresAt: this.now + 3_600_000,
    }
    this.invoices.set(`${payee}:${base.paymentHash}`, { ...newInvoice(base), ...more })
    const deadline = this.now + 60_000
    return paymentTarget(IDS[payee]!, { amountMsat: msat(amount), maxFeeMsat: msat(amount), deadline, paymentSecret })
  }

  /** Starts a payment and lets everything happen that follows. @returns its record, or the reason why it did not start */
  pay(payer: number, paymentHash: PaymentHash, target: PaymentTarget): PaymentRecord | string {
    const known = this.payments.get(paymentHash)?.record
    const started = startPayment(known, { paymentHash, target }, this.context(payer))
    if (!started.ok) return started.error.code
    this.payments.set(paymentHash, { payer, record: started.value.record })
    this.#apply(payer, started.value.effects)
    this.settle()
    return this.payments.get(paymentHash)!.record
  }
  /** Gives an input to a payment, as the channels would. */
  input(paymentHash: PaymentHash, input: PaymentInput): void {
    const { payer, record } = this.payments.get(paymentHash)!
    const turn = onPaymentInput(record, input, this.context(payer))
    this.payments.set(paymentHash, { payer, record: turn.record })
    this.#apply(payer, turn.effects)
  }
  settle(): void {
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) next()
  }
  /** Lets time pass for every invoice. */
  wait(ms: number): void {
    this.now += ms
    for (const [key, record] of this.invoices) {
      const turn = tickInvoice(record, this.incomingContext)
      this.invoices.set(key, turn.record)
      this.#apply(Number(key.split(':')[0]), turn.effects)
    }
    this.settle()
  }

  #apply(node: number, effects: readonly PaymentEffect[]): void {
    for (const e of effects) {
      if (e.tag === 'notify') this.events.push({ node, type: e.event.type })
      if (e.tag === 'command') this.#queue.push(() => this.#command(node, e.channelId, e.command))
    }
  }

  #command(node: number, id: ChannelId, command: HtlcCommand): void {
    if (command.tag === 'addHtlc') this.#offer(node, id, command)
    else if (command.tag !== 'presumeHtlc') this.#resolve(node, id, command)
  }

  #offer(node: number, id: ChannelId, command: HtlcCommand & { tag: 'addHtlc' }): void {
    const channel = this.channels.findIndex((_, i) => channelId(i) === id)
    const c = this.channels[channel]!
    const side = c.ends.indexOf(node)
    const { tag: _, origin, ...rest } = command
    this.offered.push({ origin, amountMsat: command.amountMsat, from: node })
    if (command.amountMsat > c.balances[side]!) this.#result(node, origin, rejected('INSUFFICIENT_BALANCE'))
    else {
      c.balances[side]! -= command.amountMsat
      const htlc: IncomingHtlc = { channelId: id, id: this.#nextHtlc++, ...rest }
      const flight = { channel, from: node, to: c.ends[1 - side]!, htlc, origin }
      this.#flights.set(`${htlc.id}`, flight)
      this.#queue.push(() => this.#receive(flight))
    }
  }

  #resolve(node: number, id: ChannelId, command: Exclude<HtlcCommand, { tag: 'addHtlc' | 'presumeHtlc' }>): void {
    const flight = this.#flights.get(`${command.id}`)
    if (!flight || flight.htlc.channelId !== id || flight.to !== node) return
    if (command.tag === 'fulfillHtlc') this.#end(flight, node, { tag: 'fulfilled', preimage: command.preimage })
    else {
      const failure: HtlcFailure =
        command.tag === 'failHtlc'
          ? { tag: 'onion', reason: command.reason }
          : { tag: 'malformed', failureCode: command.failureCode, sha256OfOnion: command.sha256OfOnion }
      this.#end(flight, flight.from, { tag: 'failed', failure })
    }
  }

  /** The HTLC is gone; its amount goes to one of the ends. */
  #end(flight: Flight, to: number, result: ForwardResult): void {
    this.#flights.delete(`${flight.htlc.id}`)
    const c = this.channels[flight.channel]!
    c.balances[c.ends.indexOf(to)]! += flight.htlc.amountMsat
    this.#result(flight.from, flight.origin, result)
  }

  #receive(flight: Flight): void {
    const { to, htlc } = flight
    const mischief = this.mischief(to, htlc)
    const onion = peelIncoming(htlc, SECRETS[to]!)
    if (mischief !== 'none') this.#misbehave(flight, mischief)
    else if (onion.tag === 'refused') this.#command(to, htlc.channelId, onion.command)
    else if (onion.tag === 'final') {
      const key = `${to}:${htlc.paymentHash}`
      const turn = receiveHtlc(this.invoices.get(key), htlc, onion, this.incomingContext)
      if (turn.record) this.invoices.set(key, turn.record)
      this.#apply(to, turn.effects)
    } else {
      const turn = decideForward(htlc, onion, {
        blockHeight: HEIGHT,
        limits: DEFAULT_FORWARD_LIMITS,
        channelsTo: (next) => (next.tag === 'channel' ? this.#channelsTo(to, Number(next.shortChannelId) - 1) : []),
      })
      this.#forwards.set(`${htlc.channelId}:${htlc.id}`, turn.record)
      this.#apply(to, turn.effects)
    }
  }

  #misbehave(flight: Flight, mischief: Mischief): void {
    const { id, onion } = flight.htlc
    const failures = {
      timeout: { tag: 'onchain' },
      garble: { tag: 'onion', reason: new Uint8Array(292).fill(Number(id)) },
      unreadable: { tag: 'malformed', failureCode: 0xc005, sha256OfOnion: crypto.sha256(onion) },
    } as const
    if (mischief === 'reject' || mischief === 'none') this.#end(flight, flight.from, rejected('TOO_MANY_HTLCS'))
    else this.#end(flight, flight.from, { tag: 'failed', failure: failures[mischief] })
  }

  /** All channels with the node at the other end of one, that one first. */
  #channelsTo(node: number, index: number): OutgoingChannel[] {
    const peerOf = (c: WorldChannel | undefined): number =>
      c?.ends.includes(node) ? c.ends[1 - c.ends.indexOf(node)]! : -1
    const peer = peerOf(this.channels[index])
    const indexes = this.channels.flatMap((c, i) => (peer >= 0 && peerOf(c) === peer && i !== index ? [i] : []))
    return (peer < 0 ? [] : [index, ...indexes]).map((i) => {
      const c = this.channels[i]!
      const side = c.ends.indexOf(node)
      const p = c.policies[side]!
      const relay = {
        feeBaseMsat: p.base,
        feeProportionalMillionths: p.rate,
        cltvExpiryDelta: p.delta,
        htlcMinimumMsat: msat(p.min),
        htlcMaximumMsat: msat(p.max),
      }
      const sendableMsat = c.balances[side]! as Msat
      return { channelId: channelId(i), remoteNodeId: IDS[peer]!, status: 'usable', relay, sendableMsat }
    })
  }

  #result(node: number, origin: HtlcOrigin, result: ForwardResult): void {
    if (origin.tag === 'payment') {
      this.#queue.push(() => this.input(origin.paymentHash, { ...result, attempt: origin.attempt }))
    } else {
      const forward = this.#forwards.get(`${origin.channelId}:${origin.htlcId}`)!
      this.#apply(node, onForwardResult(forward, result))
    }
  }
}

const rejected = (code: Fault['code']): ForwardResult => ({
  tag: 'rejected',
  fault: { code, response: 'reject-command', requirement: '', detail: 'it has no room' },
})
