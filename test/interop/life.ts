import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { paymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import type { PaymentView } from '../../src/node/service.ts'
import type { Direction } from './link.ts'
import type { OurNode } from './ourNode.ts'
import { isReal, type Name, type Neighbour, type Outcome, type Real, type Stage } from './stage.ts'

export type { Stage }

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
  | (OfOne & { readonly tag: 'cut'; readonly direction: Direction; readonly bytes: number })
  /** Goes on when so many more bytes have come from them, or when nothing moves any more. */
  | (OfOne & { readonly tag: 'run'; readonly bytes: number })
  | { readonly tag: 'fee'; readonly who: 'us' | Real; readonly feeratePerKw: number }
  /** 'hang up': they close the connection in good order; 'kill': they die, and start again. */
  | (OfOne & { readonly tag: 'hang up' | 'kill' })
  /** 'restart': we stop, and start again. */
  | { readonly tag: 'connect' | 'restart' | 'mine' }

/** Absent: them. */
interface OfOne {
  readonly real?: Real
}

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

/** For a payment to come to its end when everything is whole again. */
const PATIENCE_MS = 2_000

/** So long nothing has to pass for everything to be still. */
const STILL_MS = 1_000

/** A life of two nodes of ours, or one, and a real one, or two, step by step. */
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

  step(s: Step): Promise<void> {
    return this.orDeath(() => this.#step(s))
  }

  /** Does it, unless our node dies meanwhile, which has started again on return. */
  async orDeath(act: () => Promise<unknown>): Promise<void> {
    await act().catch((e) => {
      if (!this.#w.us.isDead) throw e
    })
    if (this.#w.us.isDead) await this.#restart()
  }

  /** Gives the words on held payments that are missing, as far as those have come. */
  async words(): Promise<void> {
    for (const [i, held] of [...this.#undecided].entries()) await this.#word(held, i % 2 === 0)
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
        return this.#real(s.real).them.hangUp()
      case 'kill':
        return this.#kill(s.real)
      case 'decide':
        return this.#decide(s.pick, s.settle)
      case 'cut':
        return this.#real(s.real).link.cutAfter(s.direction, s.bytes)
      case 'run':
        return this.#run(s.bytes, this.#real(s.real))
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
      return this.#areConnected()
    })
    for (const p of this.payments) await this.#w.until(`${p.hash} to be over`, this.#ending(p))
  }

  /** Payments that are not over. */
  async pending(): Promise<readonly Payment[]> {
    const outcomes = await Promise.all(this.payments.map((p) => this.outcome(p)))
    return this.payments.filter((_, i) => outcomes[i] === 'pending')
  }

  /** Its payee fails what has come of it, unless that is taken already. */
  async refuse(p: Payment): Promise<void> {
    if (!isReal(p.to)) {
      const { service } = this.#ours(p.to)
      await service.cancelInvoice(paymentHash(p.hash)).catch((e: { code?: string }) => expect(e.code).toBe('CONFLICT'))
      return
    }
    await this.#real(p.to).them.refuse(p.hash)
    if (this.#undecided.includes(p)) this.#undecided.splice(this.#undecided.indexOf(p), 1)
  }

  /** Nothing breaks any more by itself. */
  async calm(): Promise<void> {
    for (const { link } of this.#neighbours()) link.disarm()
    const { us } = this.#w
    if (!us.liveOn()) await this.#w.until('our death', () => us.isDead)
    if (us.isDead) await this.#restart()
  }

  /**
   * Payer and payee have one word on every payment, and ours was told to people once at most.
   * @param excused of which the payee says that it was paid, though it has failed
   */
  async expectOneWord(excused: readonly Payment[] = []): Promise<void> {
    for (const p of this.payments) {
      const outcome = await this.outcome(p)
      const isExcused = outcome === 'failed' && excused.includes(p)
      if (!isExcused) expect([p, outcome]).toEqual([p, (await this.isReceived(p)) ? 'succeeded' : 'failed'])
      for (const type of ['payment.succeeded', 'invoice.settled'] as const) {
        const told = this.#w.us.events.filter((e) => e.type === type && e.data.paymentHash === p.hash)
        expect([p, told.length <= 1]).toEqual([p, true])
      }
    }
  }

  /** What the payer says. */
  async outcome(p: Payment): Promise<Outcome> {
    if (isReal(p.from)) return this.#real(p.from).them.outcome(p)
    return (await this.#view(p, p.from))?.status ?? 'failed'
  }

  /** What the payee says: whether it has the money. */
  async isReceived({ to, hash }: Payment): Promise<boolean> {
    if (isReal(to)) return this.#real(to).them.isReceived(hash)
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

  /** Brings the connections to real nodes back, if nothing cuts them meanwhile. */
  async connect(): Promise<void> {
    await Promise.all(this.#neighbours().map((n) => this.#connect(n)))
  }
  async #connect(neighbour: Neighbour): Promise<void> {
    const { us } = this.#w
    // Our node dials by itself, too.
    const isSettled = async () => us.isDead || (await neighbour.isConnected()) || !(await neighbour.them.seesUs())
    await this.#w.until('them to notice', isSettled)
    if (us.isDead || (await neighbour.isConnected())) return
    // The link may break while hands are shaken. A store fails as its node dies, which may show a moment later.
    await us.orDeath(neighbour.connect()).catch((e: { code?: string }) => {
      if (!us.isDead) expect(['PEER_UNREACHABLE', 'STORE_WRITE_FAILED']).toContain(e.code)
    })
  }
  async #areConnected(): Promise<boolean> {
    return (await Promise.all(this.#neighbours().map((n) => n.isConnected()))).every(Boolean)
  }

  // -------------------------------------------------------------- steps

  #real(name: Real = 'them'): Neighbour {
    return name === 'them' ? this.#w : this.#w.erin!
  }
  #neighbours(): readonly Neighbour[] {
    const { erin } = this.#w
    return erin ? [this.#w, erin] : [this.#w]
  }

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
    if (isReal(to)) return { bolt11: await this.#real(to).them.invoice(amountMsat, isHeld), preimage: null }
    const preimage = isHeld ? new Uint8Array(randomBytes(32)) : null
    const ours = this.#ours(to)
    const request = {
      amountMsat: msat(amountMsat),
      ...(this.#w.finalDelta && { minFinalCltvExpiryDelta: this.#w.finalDelta() }),
      ...(preimage && { paymentHash: paymentHash(toHex(crypto.sha256(preimage))) }),
    }
    const { bolt11 } = await ours.orDeath(ours.service.createInvoice(request))
    return { bolt11, preimage }
  }

  /** @returns null when the payer sees no way, and so has no payment */
  async #send(from: Name, to: Name, amountMsat: number, bolt11: string | null) {
    const { nodeId } = isReal(to) ? this.#real(to).them : this.#ours(to)
    try {
      if (isReal(from)) {
        const { them } = this.#real(from)
        return await (bolt11 ? them.pay(bolt11) : them.keysend(nodeId, amountMsat))
      }
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
    const isGiven = isReal(p.to)
      ? await this.#real(p.to).them.decide(p.hash, settle)
      : await this.#wordOfOurs(p, p.to, settle)
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

  async #run(bytes: number, neighbour: Neighbour): Promise<void> {
    const { link } = neighbour
    const at = link.passed('in') + bytes
    const moved = { bytes: 0, at: performance.now() }
    await this.#w.until('something to move', async () => {
      if (this.#w.us.isDead) return true
      if (link.passed('in') >= at || !(await neighbour.isConnected())) return true
      const passed = this.#neighbours().reduce((sum, n) => sum + n.link.passed('in') + n.link.passed('out'), 0)
      if (passed !== moved.bytes) Object.assign(moved, { bytes: passed, at: performance.now() })
      // What has come in part alone waits for the rest.
      if (performance.now() - moved.at > STILL_MS) return true
      const open = await Promise.all(this.payments.map((p) => this.outcome(p)))
      return this.payments.every((p, i) => open[i] !== 'pending' || this.#undecided.includes(p))
    })
  }

  async #fee(who: 'us' | Real, feeratePerKw: number): Promise<void> {
    if (isReal(who)) await this.#real(who).them.setFeerate(feeratePerKw)
    else this.#w.setFeerate(feeratePerKw)
  }

  async #kill(real?: Real): Promise<void> {
    await this.#real(real).them.kill!()
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
      if (!(await this.#recover())) await this.refuse(p)
      patience = performance.now() + PATIENCE_MS
      return false
    }
  }

  async #recover(): Promise<boolean> {
    const names: readonly Real[] = this.#w.erin ? ['them', 'erin'] : ['them']
    let didOne = false
    for (const name of names) {
      if (await this.#real(name).them.recover?.(await this.#lost(name))) didOne = true
    }
    return didOne
  }

  /** Payments of a real node that it waits for the end of, and of which no channel that is not closed holds an HTLC. */
  async #lost(name: Real): Promise<readonly string[]> {
    const channels = (await this.#w.us.channels()).filter((c) => c.state !== 'closed')
    const held = channels.flatMap((c) => c.htlcs.map((h): string => h.paymentHash))
    const own = this.payments.filter((p) => p.from === name && !held.includes(p.hash))
    const outcomes = await Promise.all(own.map((p) => this.outcome(p)))
    return own.filter((_, i) => outcomes[i] === 'pending').map((p) => p.hash)
  }

  /** Brings the connection back and gives the words that are missing. @returns true when the payment is over on both sides */
  async #pushOn(p: Payment): Promise<boolean> {
    await this.connect()
    await this.words()
    return (await this.outcome(p)) !== 'pending'
  }
}
