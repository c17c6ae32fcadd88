import type { Logger } from 'pino'
import type { Txid } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import { FEERATE_FLOOR } from '../bitcoin/policy.ts'
import { type Transaction, txidOf } from '../bitcoin/transaction.ts'
import { ChainError } from '../chain/errors.ts'
import { type AnchorPlan, anchorChild, signAnchor, strangerPlan } from '../channel/onchain/anchor.ts'
import { isHtlcStage, signHtlcTx } from '../channel/onchain/claims.ts'
import { isAtStake } from '../channel/onchain/stages.ts'
import type { ChannelState } from '../channel/state.ts'
import { commitmentNumberOf } from '../channel/tx/commitment.ts'
import { ANCHOR_SAT } from '../channel/tx/weights.ts'
import type { Effect } from '../channel/types.ts'
import type { AddFeesRequest } from '../wallet/bump.ts'
import { WalletError } from '../wallet/errors.ts'
import type { WalletTx } from '../wallet/state.ts'
import type { ChannelEntry } from './channels.ts'
import { channelOfLabel, childLabel, htlcLabel } from './claimLabels.ts'
import { anchorChannels, isGivenUp } from './holdings.ts'
import type { NodeParts } from './parts.ts'
import type { TurnScope } from './reactor.ts'
import { firstInput, isGone, Refusals, type Retry } from './refusals.ts'
import type { WalletShell } from './wallet.ts'

export type Broadcast = Extract<Effect, { tag: 'broadcast' }>
type Commitment = Broadcast & { readonly anchor: AnchorPlan }

type Sign = (tx: Transaction) => Transaction

export interface BumperOptions {
  readonly parts: () => NodeParts
  readonly log: Logger
}

interface Refused {
  readonly reason?: string | undefined
  readonly purpose: string
  /** Of a child. */
  readonly plan?: AnchorPlan | undefined
}

/** Blocks that a close which both sides signed has to confirm before our commitment is paid for in its place. */
const PATIENCE_BLOCKS = 6

const planFor = ({ anchor, rivals, tx }: Commitment, rival: Transaction): AnchorPlan | null => {
  const txid = txidOf(rival)
  return rivals?.find((r) => r.txid === txid) ?? strangerPlan(anchor, tx, rival)
}

/** HTLC transactions that one coin pays for before a block, one with the change of the other, as mempools take them. */
const FAMILY = 20
/** More coins would cost more than they save: with so many, the HTLCs of a full channel are paid for within three blocks. */
const MOST_COINS = 8

/** Coins that the HTLC transactions still to come of a channel are paid for with. */
function coinsFor({ state }: ChannelEntry): number {
  if (state.tag !== 'closing') return 1
  const { channel, onchain } = state
  const stages = onchain.outputs.filter((o) => o.spent === null && isHtlcStage(o.spend) && isAtStake(channel, o))
  return Math.min(MOST_COINS, Math.ceil(stages.length / FAMILY))
}

/** It may have a commitment, or HTLC transactions, that the wallet pays for. */
export const isPaidFor = ({ tag }: ChannelState): boolean =>
  tag === 'closing' || tag === 'closed' || tag === 'waiting-for-peer'

/** Of a commitment that is not handed out any more. */
export const isHeldBack = (state: ChannelState): boolean => state.tag === 'waiting-for-peer' || isGivenUp(state)

/** Children of a commitment that is not handed out any more, and that nothing is built on. */
export function childrenLeft({ state, meta: { localId } }: ChannelEntry, wallet: WalletShell): readonly WalletTx[] {
  const children = isHeldBack(state) ? wallet.waiting(childLabel(localId)) : []
  return children.filter(({ tx }) => wallet.builtOn(firstInput(tx)).length === 0)
}

/**
 * Pays with the wallet's coins for what channels publish: the core has decided how much and up to what budget, here coins are
 * attached, replaced by more of them when the feerate rises, and freed when they are not needed after all.
 */
export class Bumper {
  readonly #options: BumperOptions
  /** The peer's commitment that was found in the mempool in the place of ours, by channel: revoked ones too. */
  readonly #rivals = new Map<string, Transaction>()
  /** Since when the mempool has a close that both sides signed in the place of our commitment, by channel: a height. */
  readonly #agreed = new Map<string, number>()
  /** Channels whose operator has been told that the wallet cannot pay. */
  readonly #poor = new Map<string, ChannelEntry>()
  /** Channels that have to wait for a block, since too much of the wallet's does. */
  readonly #delayed = new Set<string>()
  /** What the HTLC transactions of channels need of the wallet by the estimate, but for the one that is paid for just now. */
  readonly #needs = new Map<string, Sat>()
  /** First inputs of the HTLC transactions that a channel has asked for since the last block. */
  readonly #asked = new Map<string, Set<string>>()
  readonly #refusals: Refusals
  readonly #retry: Retry

  constructor(options: BumperOptions, retry: Retry) {
    this.#options = options
    this.#retry = retry
    this.#refusals = new Refusals({ parts: options.parts, retry, poor: () => this.#poor.values() })
  }

  /** Publishes a zero-fee HTLC transaction with the wallet's inputs. @returns it; null when the wallet cannot pay for it */
  htlc(entry: ChannelEntry, effect: Broadcast, wanted: number, scope: TurnScope): Transaction | null {
    const { localId } = entry.meta
    const { wallet } = this.#options.parts()
    if (effect.onlyRaise && wallet.spenderOf(firstInput(effect.tx)) === undefined) return null
    this.#asked.set(localId, (this.#asked.get(localId) ?? new Set()).add(firstInput(effect.tx)))
    const tx = this.#htlc(entry, effect, wanted)
    if (tx) this.#afterwards(scope, () => this.#handHtlc(entry, tx, effect))
    return tx
  }

  #htlc(entry: ChannelEntry, effect: Broadcast, wanted: number): Transaction | null {
    if (this.#refusals.has(effect.tx)) return null
    const { stage, preimage = null } = effect.signAgain ?? {}
    const feeratePerKw = Math.max(FEERATE_FLOOR, wanted, this.#refusals.hurry(effect.tx))
    const request = {
      tx: effect.tx,
      feeratePerKw,
      owner: htlcLabel(entry.meta.localId),
      ...(effect.budgetSat !== undefined && { budgetSat: effect.budgetSat }),
      ...(effect.urgentSat !== undefined && { urgentSat: effect.urgentSat }),
      leaveSat: this.#leave(entry, effect.leaveSat),
      coinsWanted: coinsFor(entry),
    }
    const sign: Sign = (tx) => (stage ? signHtlcTx(tx, stage, preimage, entry.signer) : tx)
    return this.#pay(entry, 'an HTLC transaction', request, sign)
  }

  /**
   * Publishes a commitment, with a child that pays for both where it pays too little by itself. Where the mempool has the peer's
   * commitment instead, that one is helped along: it closes the channel as well.
   */
  commitment(entry: ChannelEntry, effect: Commitment, scope: TurnScope): void {
    const known = this.#rivals.get(entry.meta.localId)
    const rival = known === undefined ? null : planFor(effect, known)
    const plan = rival ?? effect.anchor
    this.#freeOthers(entry, plan.txid)
    this.#freeHtlcs(entry)
    const child = this.#child(entry, plan)
    this.#afterwards(scope, () => this.#publish(entry, effect, { child, plan, isRival: rival !== null }))
  }

  /** The wallet could not pay for what the channel published last: its last block may have changed that. */
  isPoor({ meta: { localId } }: ChannelEntry): boolean {
    return this.#poor.has(localId) || this.#delayed.has(localId)
  }

  /** The close is in the chain: what builds on commitments that lost is given up, and a child that is not needed any more. */
  tidy(entry: ChannelEntry, scope: TurnScope): void {
    const { state } = entry
    if (state.tag !== 'closing' && state.tag !== 'closed') return
    const closing = state.onchain?.closing
    if (!closing || closing.height === null) return
    this.#rivals.delete(entry.meta.localId)
    this.#agreed.delete(entry.meta.localId)
    if (!state.onchain.outputs.some((o) => !o.spent && isHtlcStage(o.spend))) this.#needs.delete(entry.meta.localId)
    this.#freeOthers(entry, closing.txid)
    const left = this.#options.parts().wallet.waiting(childLabel(entry.meta.localId))
    if (left.length > 0) this.#afterwards(scope, () => this.#dropUnknown(left))
  }

  /**
   * After a block for which the channel has published what it wants: HTLC transactions that it does not want any more, being too dear for now
   * or given up, give their coins back where the mempool has thrown them out, too. What something builds on may come in again with that.
   */
  free(entry: ChannelEntry, scope: TurnScope): void {
    const { state, meta } = entry
    const { localId } = meta
    if (!isPaidFor(state)) return
    const { wallet, chain } = this.#options.parts()
    const { height } = chain
    const isIdle = ({ tx }: WalletTx): boolean =>
      !this.#asked.get(localId)?.has(firstInput(tx)) && wallet.builtOn(firstInput(tx)).length === 0
    const idle = [...childrenLeft(entry, wallet), ...wallet.waiting(htlcLabel(localId))].filter(isIdle)
    this.#asked.delete(localId)
    if (state.tag !== 'closing' || isHeldBack(state)) {
      this.#poor.delete(localId)
      this.#delayed.delete(localId)
    }
    if (isHeldBack(state)) this.#needs.delete(localId)
    // One may be wanted again by the time of the answer.
    const mayGo = (t: WalletTx): boolean => chain.height === height && isIdle(t)
    if (idle.length > 0) this.#afterwards(scope, () => this.#dropUnknown(idle, mayGo))
  }

  #child(entry: ChannelEntry, plan: AnchorPlan): Transaction | null {
    const { budgetSat, urgentSat, leaveSat, weight, feeSat } = plan
    const tx = anchorChild(plan)
    const feeratePerKw = Math.max(plan.feeratePerKw, this.#refusals.hurry(tx))
    if (feeratePerKw < FEERATE_FLOOR || this.#refusals.has(tx)) return null
    const request = {
      tx,
      feeratePerKw,
      owner: childLabel(entry.meta.localId),
      paidSat: ANCHOR_SAT,
      budgetSat,
      urgentSat,
      leaveSat: this.#leave(entry, leaveSat),
      parent: { weight, feeSat },
    }
    return this.#pay(entry, 'the close of a channel', request, (tx) => signAnchor(tx, plan, entry.signer))
  }

  /** One wallet pays for all channels: what it keeps back for this one and the others, be they open yet. */
  #leave({ meta }: ChannelEntry, ownSat: Sat = 0n as Sat): Sat {
    this.#needs.set(meta.localId, ownSat)
    const parts = this.#options.parts()
    const closing = [...this.#needs.keys()].flatMap((id) => parts.channels.get(id) ?? [])
    const open = parts.reserves.forCloses(-anchorChannels(closing))
    return [...this.#needs.values()].reduce((sum, sat) => sum + sat, open as bigint) as Sat
  }

  #pay(entry: ChannelEntry, what: string, request: AddFeesRequest, sign: Sign): Transaction | null {
    const { localId: id, peer } = entry.meta
    const { wallet, channels } = this.#options.parts()
    const first = firstInput(request.tx)
    const before = wallet.builtOn(first)
    try {
      const tx = wallet.bump(request, sign)
      // What was built on the one that it takes the place of has gone with that, be it another channel's.
      const after = wallet.builtOn(first)
      const gone = before.filter((t) => !after.includes(t))
      this.#refusals.again(gone.flatMap((t) => channels.get(channelOfLabel(t.label) ?? '') ?? []))
      this.#poor.delete(id)
      this.#delayed.delete(id)
      return tx
    } catch (e) {
      if (!(e instanceof WalletError)) throw e
      if (e.code === 'FAMILY_FULL') this.#delayed.add(id)
      // A PSBT can be made anew; what a claim comes too late for is lost.
      else if (wallet.releasePsbts()) return this.#pay(entry, what, request, sign)
      if (e.code === 'FAMILY_FULL' || this.#poor.has(id)) return null
      this.#poor.set(id, entry)
      const message = `no coins to pay for ${what}: send some to the wallet (${e.message})`
      this.#options.log.error({ channel: id }, message)
      const { events, reactor } = this.#options.parts()
      const alert = { id, peer, code: 'NO_COINS_FOR_FEES', message, byPeer: false }
      reactor.post((scope) => events.emit(scope, 'node.alert', alert))
      return null
    }
  }

  async #publish(
    entry: ChannelEntry,
    effect: Commitment,
    {
      child,
      plan,
      isRival,
    }: { readonly child: Transaction | null; readonly plan: AnchorPlan; readonly isRival: boolean },
  ): Promise<void> {
    const { parts, log } = this.#options
    const { source, reactor } = parts()
    if (isHeldBack(entry.state)) return
    if (isRival) {
      const ours = await source.broadcast(effect.tx)
      if (ours.accepted) this.#rivals.delete(entry.meta.localId)
      // Another one may have taken its place: it is looked for with the next block.
      else if (child && !(await this.#hand(entry, child, 'commitment', plan))) this.#rivals.delete(entry.meta.localId)
      return
    }
    // The peer may prove that it is revoked while the Bitcoin node is asked.
    if ((await this.#isAgreed(entry, effect.tx)) || isHeldBack(entry.state)) return
    const result = await source.broadcastPackage(child ? [effect.tx, child] : [effect.tx])
    if (result.accepted) return
    const rival = await this.#inMempool(effect)
    if (rival === null) {
      if (child) await this.#refused(entry, [effect.tx, child], { ...result, purpose: effect.purpose, plan })
      else log.warn({ purpose: effect.purpose, reason: result.reason }, 'transaction refused')
      return
    }
    // What is to be paid may have changed meanwhile.
    reactor.post((scope) => {
      this.#rivals.set(entry.meta.localId, rival)
      this.#retry(entry, scope)
    })
  }

  /** A backend that cannot be reached is asked again with the next block, and its follower says so. */
  #afterwards(scope: TurnScope, ask: () => Promise<unknown>): void {
    const tell = (err: unknown): void => {
      if (!(err instanceof ChainError)) this.#options.log.error({ err }, 'a bug: what was to be published was not')
    }
    scope.after(() => void ask().catch(tell))
  }

  /** What is too dear by now, and not even in the mempool at what may be paid for it, gives its coin back. */
  async #handHtlc(entry: ChannelEntry, tx: Transaction, { purpose, onlyRaise }: Broadcast): Promise<void> {
    if ((await this.#hand(entry, tx, purpose)) || !onlyRaise) return
    const versions = this.#options.parts().wallet.waiting(htlcLabel(entry.meta.localId))
    await this.#dropUnknown(versions.filter((t) => firstInput(t.tx) === firstInput(tx)))
  }

  /** @returns whether the mempool has it */
  async #hand(entry: ChannelEntry, tx: Transaction, purpose: string, plan?: AnchorPlan): Promise<boolean> {
    const { accepted, reason } = await this.#options.parts().source.broadcast(tx)
    return accepted || this.#refused(entry, [tx], { reason, purpose, plan })
  }

  /**
   * The mempool may have thrown out, for its fee, what the last of these builds on: that comes in with it, or gives its coins back where it
   * can be made again.
   * @returns whether it is in the mempool after all
   */
  async #refused(
    entry: ChannelEntry,
    txs: readonly Transaction[],
    { reason, purpose, plan }: Refused,
  ): Promise<boolean> {
    const { parts, log } = this.#options
    const { source, wallet } = parts()
    const tx = txs.at(-1)!
    // Of several the first that is refused is named.
    const below = isGone(reason) || txs.length > 1 ? wallet.waitingParents(tx) : []
    if (below.length > 0 && !(plan && isHeldBack(entry.state))) {
      const whole = await source.broadcastPackage([...below.map((t) => t.tx), ...txs])
      if (whole.accepted) return true
    }
    log.warn({ purpose, reason }, 'transaction refused')
    if (!this.#refusals.add(entry, tx, txs.length > 1 ? { plan } : { reason, plan })) return false
    await this.#dropUnknown(below.filter((t) => channelOfLabel(t.label) !== null))
    return false
  }

  /**
   * The mempool has a close that both sides have signed: the peer published it and forgot the channel before we had its signature. It
   * pays us at once and at less cost than our commitment, which with its child would replace it.
   */
  async #isAgreed({ meta: { localId } }: ChannelEntry, commitment: Transaction): Promise<boolean> {
    const { source, chain } = this.#options.parts()
    const [spender] = await source.mempoolSpends(commitment.inputs).catch(() => [])
    if (!spender || commitmentNumberOf(spender, 0) !== null) {
      this.#agreed.delete(localId)
      return false
    }
    const since = this.#agreed.get(localId) ?? chain.height
    this.#agreed.set(localId, since)
    return chain.height < since + PATIENCE_BLOCKS
  }

  /** Confirmed ones are the watcher's news. */
  async #inMempool(effect: Commitment): Promise<Transaction | null> {
    const { source } = this.#options.parts()
    for (const { txid, outpoint } of effect.rivals ?? []) {
      const tx = await source.transaction(txid)
      if (tx !== null && (await source.utxo(outpoint)) === null) return tx
    }
    const [stranger] = await source.mempoolSpends(effect.tx.inputs).catch(() => [])
    if (!stranger || txidOf(stranger) === txidOf(effect.tx)) return null
    return planFor(effect, stranger) && stranger
  }

  /** What builds on other commitments than this one can no longer confirm, or should not: its coins are free again. */
  #freeOthers(entry: ChannelEntry, parent: Txid): void {
    const { wallet } = this.#options.parts()
    for (const { txid, tx } of [childLabel(entry.meta.localId), htlcLabel(entry.meta.localId)].flatMap((label) =>
      wallet.waiting(label),
    )) {
      if (tx.inputs[0]!.txid !== parent) wallet.abandon(txid)
    }
  }

  /** Before the commitment is in the chain, or after a reorganisation took it out, its HTLC transactions only keep coins from its child. */
  #freeHtlcs(entry: ChannelEntry): void {
    const { wallet } = this.#options.parts()
    for (const { txid } of wallet.waiting(htlcLabel(entry.meta.localId))) wallet.abandon(txid)
  }

  /** What the mempool does not have gives its coins back: a child that never came there has nothing to pay for once its parent is confirmed. */
  async #dropUnknown(txs: readonly WalletTx[], mayGo: (t: WalletTx) => boolean = () => true): Promise<void> {
    const { source, reactor, wallet } = this.#options.parts()
    const known = await Promise.all(txs.map(({ txid }) => source.transaction(txid)))
    const gone = txs.filter((_, i) => known[i] === null)
    if (gone.length > 0) {
      reactor.post(() => {
        for (const t of gone) if (mayGo(t)) wallet.abandon(t.txid)
      })
    }
  }
}
