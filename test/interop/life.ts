import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { type NodeId, paymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { PaymentView } from '../../src/node/service.ts'
import type { Direction, Link } from './link.ts'
import type { OurNode } from './ourNode.ts'

/** carol and us are nodes of ours, with a channel between them; they, a real node that is not ours, have channels with us. */
export type Name = 'carol' | 'us' | 'them'

/** A payment of theirs that has begun. */
export interface Sent {
  /** As they call it. */
  readonly id: string
  readonly hash: string
}

/** The real node at the other end of the link. */
export interface Counterpart {
  readonly nodeId: NodeId
  /** Whether it has a connection with us, as far as it knows. */
  seesUs(): Promise<boolean>
  /** @param isHeld what comes waits for `decide`; all else is taken as it comes @returns BOLT 11 */
  invoice(amountMsat: number, isHeld: boolean): Promise<string>
  /** @throws when it sees no way */
  pay(bolt11: string): Promise<Sent>
  keysend(payee: NodeId, amountMsat: number): Promise<Sent>
  /** Takes a held payment, or fails it. @returns false when it has not come yet as a whole */
  decide(hash: string, settle: boolean): Promise<boolean>
  /** Fails what has come of a payment to it, unless that is taken already. */
  refuse(hash: string): Promise<void>
  /** What it says of a payment of its own. */
  outcome(sent: Sent): Promise<Outcome>
  /** Whether it says that it has taken the payment. */
  isReceived(hash: string): Promise<boolean>
  /** Closes the connection in good order. */
  hangUp(): Promise<void>
  /** Its estimate for every target. */
  setFeerate(feeratePerKw: number): Promise<void>
  /** It dies at once, and has started again on return; absent where it cannot. */
  kill?(): Promise<void>
  /**
   * Gets it over a fault of its own, if it shows one that it does not get over by itself; absent where it has none.
   * @param lost payments of its own that it waits for the end of, and of which no channel holds an HTLC
   * @returns whether it did
   */
  recover?(lost: readonly string[]): Promise<boolean>
}

/** What a life is lived on: a world of one of the counterparts. */
export interface Stage {
  readonly us: OurNode
  readonly them: Counterpart
  readonly link: Link
  /** Whether our node is connected with them. */
  isConnected(): Promise<boolean>
  /** Dials them over the link. */
  connect(): Promise<void>
  /** One block, which everybody has acted on. */
  mine(): Promise<void>
  /** Our estimate for every target. */
  setFeerate(feeratePerKw: number): void
  until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void>
}

export interface Pay {
  readonly tag: 'pay'
  readonly from: Name
  readonly to: Name
  readonly amountMsat: number
  readonly kind: 'at once' | 'held' | 'keysend'
}

export type Step =
  | Pay
  /** All of them in the same moment. */
  | { readonly tag: 'many'; readonly pays: readonly Pay[] }
  /** Our process dies at one of its next writes, which comes to the disk or not. */
  | { readonly tag: 'die'; readonly before: number; readonly isKept: boolean }
  /** What the payee of a held payment does with it. */
  | { readonly tag: 'decide'; readonly pick: number; readonly settle: boolean }
  /** The link to them breaks when so many more bytes have passed in that direction. */
  | { readonly tag: 'cut'; readonly direction: Direction; readonly bytes: number }
  /** Goes on when so many more bytes have come from them, or when nothing moves any more. */
  | { readonly tag: 'run'; readonly bytes: number }
  | { readonly tag: 'fee'; readonly who: 'us' | 'them'; readonly feeratePerKw: number }
  /** 'hang up': they close the connection in good order; 'kill': they die, and start again; 'restart': we stop, and start again. */
  | { readonly tag: 'connect' | 'hang up' | 'kill' | 'restart' | 'mine' }

export interface Payment {
  readonly from: Name
  readonly to: Name
  readonly amountMsat: number
  readonly hash: string
  /** As its payer calls it. */
  readonly id: string
  /** Waits at the payee for its word: the preimage, where that is a node of ours. Null: it is taken as it comes. */
  readonly held: { readonly preimage: Uint8Array | null } | null
}

export type Outcome = 'pending' | 'succeeded' | 'failed'

/** For a payment to come to its end when everything is whole again. */
const PATIENCE_MS = 2_000

/** So long nothing has to pass for everything to be still. */
const STILL_MS = 1_000

/** A life of two nodes of ours, or one, and a real one, step by step. */
export class Life {
  readonly payments: Payment[] = []
  readonly #w: Stage
  readonly #carol: OurNode | null
  /** Held payments that wait for a word that has not been given. */
  readonly #undecided: Payment[] = []

  constructor(stage: Stage, carol: OurNode | null = null) {
    this.#w = stage
    this.#carol = carol
  }

  async step(s: Step): Promise<void> {
    await this.#step(s).catch((e) => {
      if (!this.#w.us.isDead) throw e
    })
    if (this.#w.us.isDead) await this.#restart()
  }

  async #step(s: Step): Promise<void> {
    switch (s.tag) {
      case 'pay':
        return this.#pay(s)
      case 'many':
        await Promise.all(s.pays.map((p) => this.#pay(p)))
        return
      case 'die':
        return this.#w.us.dieAt(s)
      case 'hang up':
        return this.#w.them.hangUp()
      case 'kill':
        return this.#kill()
      case 'decide':
        return this.#decide(s.pick, s.settle)
      case 'cut':
        return this.#w.link.cutAfter(s.direction, s.bytes)
      case 'run':
        return this.#run(s.bytes)
      case 'fee':
        return this.#fee(s.who, s.feeratePerKw)
      case 'connect':
        return this.connect()
      case 'restart':
        return this.#restart()
      case 'mine':
        return this.#w.mine()
    }
  }

  /** Everybody is connected, and all payments come to their end. */
  async finish(): Promise<void> {
    await this.calm()
    await this.#w.until('the connection', async () => {
      await this.connect()
      return this.#w.isConnected()
    })
    for (const p of this.payments) await this.#w.until(`${p.hash} to be over`, this.#ending(p))
  }

  /** Nothing breaks any more by itself. */
  async calm(): Promise<void> {
    this.#w.link.disarm()
    const { us } = this.#w
    if (!us.liveOn()) await this.#w.until('our death', () => us.isDead)
    if (us.isDead) await this.#restart()
  }

  /** Payer and payee have one word on every payment, and ours was told to people once at most. */
  async expectOneWord(): Promise<void> {
    for (const p of this.payments) {
      expect([p, await this.outcome(p)]).toEqual([p, (await this.isReceived(p)) ? 'succeeded' : 'failed'])
      for (const type of ['payment.succeeded', 'invoice.settled'] as const) {
        const told = this.#w.us.events.filter((e) => e.type === type && e.data.paymentHash === p.hash)
        expect([p, told.length <= 1]).toEqual([p, true])
      }
    }
  }

  /** What the payer says. */
  async outcome(p: Payment): Promise<Outcome> {
    if (p.from === 'them') return this.#w.them.outcome(p)
    return (await this.#view(p, p.from))?.status ?? 'failed'
  }

  /** What the payee says: whether it has the money. */
  async isReceived({ to, hash }: Payment): Promise<boolean> {
    if (to === 'them') return this.#w.them.isReceived(hash)
    const { service } = this.#ours(to)
    return (await service.invoice(paymentHash(hash)).catch(() => null))?.status === 'settled'
  }

  /** What a node of ours has in channels more than it had, by its own books, in msat. */
  async gainedMsat(name: 'carol' | 'us'): Promise<bigint> {
    let gained = 0n
    for (const p of this.payments) {
      if (p.to === name && (await this.isReceived(p))) gained += BigInt(p.amountMsat)
      if (p.from !== name) continue
      const view = await this.#view(p, name)
      if (view?.status === 'succeeded') gained -= BigInt(p.amountMsat) + view.feeMsat
    }
    return gained
  }

  /** Brings the connection to them back, if nothing cuts it meanwhile. */
  async connect(): Promise<void> {
    const { us, them } = this.#w
    // Our node dials by itself, too.
    const isSettled = async () => us.isDead || (await this.#w.isConnected()) || !(await them.seesUs())
    await this.#w.until('them to notice', isSettled)
    if (us.isDead || (await this.#w.isConnected())) return
    // The link may break while hands are shaken.
    await us.orDeath(this.#w.connect()).catch((e: { code?: string }) => {
      if (!us.isDead) expect(e.code).toBe('PEER_UNREACHABLE')
    })
  }

  // -------------------------------------------------------------- steps

  #ours(name: 'carol' | 'us'): OurNode {
    return name === 'us' ? this.#w.us : this.#carol!
  }

  /** Null: a node that died has not begun it. */
  async #view({ id }: Payment, name: 'carol' | 'us'): Promise<PaymentView | null> {
    return this.#ours(name)
      .service.payment(id)
      .catch((e: { code?: string }) => {
        if (e.code !== 'NOT_FOUND') throw e
        return null
      })
  }

  async #pay({ from, to, amountMsat, kind }: Extract<Step, { tag: 'pay' }>): Promise<void> {
    if (from === to) return
    const isHeld = kind === 'held'
    const target = kind === 'keysend' ? null : await this.#invoice(to, amountMsat, isHeld)
    const sent = await this.#send(from, to, amountMsat, target?.bolt11 ?? null)
    if (!sent) return
    const held = isHeld ? { preimage: target!.preimage } : null
    const payment: Payment = { from, to, amountMsat, ...sent, held }
    this.payments.push(payment)
    if (isHeld) this.#undecided.push(payment)
  }

  async #invoice(to: Name, amountMsat: number, isHeld: boolean) {
    if (to === 'them') return { bolt11: await this.#w.them.invoice(amountMsat, isHeld), preimage: null }
    const preimage = isHeld ? new Uint8Array(randomBytes(32)) : null
    const ours = this.#ours(to)
    const request = {
      amountMsat: msat(amountMsat),
      ...(preimage && { paymentHash: paymentHash(toHex(crypto.sha256(preimage))) }),
    }
    const { bolt11 } = await ours.orDeath(ours.service.createInvoice(request))
    return { bolt11, preimage }
  }

  /** @returns null when the payer sees no way, and so has no payment */
  async #send(from: Name, to: Name, amountMsat: number, bolt11: string | null) {
    const { them } = this.#w
    const { nodeId } = to === 'them' ? them : this.#ours(to)
    try {
      if (from === 'them') return await (bolt11 ? them.pay(bolt11) : them.keysend(nodeId, amountMsat))
      const ours = this.#ours(from)
      const id = ours.service.newId()
      const request = bolt11 ? { id, bolt11 } : { id, nodeId, amountMsat: msat(amountMsat) }
      const { paymentHash } = await ours.orDeath(ours.service.pay(request)).catch((e) => {
        // It may have been begun, and it may not.
        if (bolt11 && ours.isDead) return decodeInvoice(bolt11)
        throw e
      })
      return { id, hash: paymentHash }
    } catch (e) {
      if (/RouteNotFound|no route|can send|not connected|INSUFFICIENT|NO_ROUTE/.test(String(e))) return null
      throw e
    }
  }

  async #decide(pick: number, settle: boolean): Promise<void> {
    const p = this.#undecided[pick % Math.max(1, this.#undecided.length)]
    if (p) await this.#word(p, settle)
  }

  /** The payee takes the payment, or not, if it has it. */
  async #word(p: Payment, settle: boolean): Promise<void> {
    const { them } = this.#w
    const isGiven = p.to === 'them' ? await them.decide(p.hash, settle) : await this.#wordOfOurs(p, p.to, settle)
    if (isGiven) this.#undecided.splice(this.#undecided.indexOf(p), 1)
  }
  async #wordOfOurs({ hash, held }: Payment, to: 'carol' | 'us', settle: boolean): Promise<boolean> {
    const ours = this.#ours(to)
    const { service } = ours
    const id = paymentHash(hash)
    if ((await service.invoice(id)).status !== 'accepted') return false
    await ours.orDeath(settle ? service.settleInvoice(id, held!.preimage!) : service.cancelInvoice(id))
    return true
  }

  async #run(bytes: number): Promise<void> {
    const { link } = this.#w
    const at = link.passed('in') + bytes
    const moved = { bytes: 0, at: performance.now() }
    await this.#w.until('something to move', async () => {
      if (this.#w.us.isDead) return true
      if (link.passed('in') >= at || !(await this.#w.isConnected())) return true
      const passed = link.passed('in') + link.passed('out')
      if (passed !== moved.bytes) Object.assign(moved, { bytes: passed, at: performance.now() })
      // What has come in part alone waits for the rest.
      if (performance.now() - moved.at > STILL_MS) return true
      const open = await Promise.all(this.payments.map((p) => this.outcome(p)))
      return this.payments.every((p, i) => open[i] !== 'pending' || this.#undecided.includes(p))
    })
  }

  async #fee(who: 'us' | 'them', feeratePerKw: number): Promise<void> {
    if (who === 'them') await this.#w.them.setFeerate(feeratePerKw)
    else this.#w.setFeerate(feeratePerKw)
  }

  async #kill(): Promise<void> {
    await this.#w.them.kill!()
    await this.connect()
  }

  async #restart(): Promise<void> {
    const { us } = this.#w
    await us.stop()
    await us.restart()
    await this.#carol?.service.connectPeer({ nodeId: us.nodeId, host: '127.0.0.1', port: us.port })
    await this.connect()
  }

  /** Whether it is over, after a push. What has come in part alone would wait a minute for the rest, and is refused before. */
  #ending(p: Payment): () => Promise<boolean> {
    let patience = performance.now() + PATIENCE_MS
    return async () => {
      const isOver = await this.#pushOn(p)
      if (isOver || performance.now() < patience) return isOver
      if (!(await this.#w.them.recover?.(await this.#lost()))) await this.#refuse(p)
      patience = performance.now() + PATIENCE_MS
      return false
    }
  }

  /** Their payments that they wait for the end of, and of which no channel holds an HTLC. */
  async #lost(): Promise<readonly string[]> {
    const held = (await this.#w.us.channels()).flatMap((c) => c.htlcs.map((h): string => h.paymentHash))
    const ours = this.payments.filter((p) => p.from === 'them' && !held.includes(p.hash))
    const outcomes = await Promise.all(ours.map((p) => this.outcome(p)))
    return ours.filter((_, i) => outcomes[i] === 'pending').map((p) => p.hash)
  }

  async #refuse(p: Payment): Promise<void> {
    if (p.to !== 'them') {
      const { service } = this.#ours(p.to)
      await service.cancelInvoice(paymentHash(p.hash)).catch((e: { code?: string }) => expect(e.code).toBe('CONFLICT'))
      return
    }
    await this.#w.them.refuse(p.hash)
    if (this.#undecided.includes(p)) this.#undecided.splice(this.#undecided.indexOf(p), 1)
  }

  /** Brings the connection back and gives the words that are missing. @returns true when the payment is over on both sides */
  async #pushOn(p: Payment): Promise<boolean> {
    await this.connect()
    for (const [i, held] of [...this.#undecided].entries()) await this.#word(held, i % 2 === 0)
    return (await this.outcome(p)) !== 'pending'
  }
}
