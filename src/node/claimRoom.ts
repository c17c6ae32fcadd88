import type { ChannelId } from '../base/ids.ts'
import type { Msat, Sat } from '../base/units.ts'
import { channelOf } from '../channel/describe.ts'
import { getHtlc } from '../channel/htlcTable.ts'
import { CHILD_WEIGHT } from '../channel/onchain/anchor.ts'
import { isHtlcStage } from '../channel/onchain/claims.ts'
import { stageWeight } from '../channel/onchain/stages.ts'
import type { ChannelState } from '../channel/state.ts'
import { COMMITMENT_WEIGHT, feeOf, HTLC_OUTPUT_WEIGHT } from '../channel/tx/weights.ts'
import { isGivenUp } from './holdings.ts'

/** An incoming HTLC, of which the preimage is to be let go, or that is to be passed on. */
export interface TakenHtlc {
  readonly channelId: ChannelId
  readonly id: bigint
  readonly amountMsat: Msat
}
interface Taken {
  /** Of what it is a part. */
  readonly payment: string
  readonly amountMsat: Msat
}
/** Of one channel; those that are settled, too, until they are in the way. */
interface Lane {
  readonly htlcs: Map<bigint, Taken>
  /** In which those that are settled were last looked for. */
  seen: ChannelState | undefined
  /** What the others need of the wallet, and the feerate at which it was reckoned. */
  need: { readonly feeratePerKw: number; readonly sat: bigint } | null
}

export interface ClaimRoomOptions {
  readonly stateOf: (channelId: ChannelId) => ChannelState | undefined
  /** The estimate at which an HTLC is claimed, sat per 1,000 weight units. */
  readonly feeratePerKw: () => number
  /** What the wallet can pay with. */
  readonly coinsSat: () => Sat
  /** Of one channel, what nothing enforces: like HTLCs without an output. */
  readonly exposureMsat: Msat
  /** Something was given back for want of coins: told once, until there are more and they suffice. */
  readonly onShort: () => void
}

const STAGE_WEIGHT = stageWeight({ tag: 'htlc-success', channelType: 'anchors' })
/** Our commitment with its child; for each HTLC its output there, and its transaction with an input and the change of the wallet's. */
const CLOSE_WEIGHT = COMMITMENT_WEIGHT.anchors + CHILD_WEIGHT
const CLAIM_WEIGHT = HTLC_OUTPUT_WEIGHT + STAGE_WEIGHT
/** Fees may have risen by the time of the close. */
const DEAR = 2
/** Fewer are not looked through for those that are settled. */
const FEW = 64

/**
 * How many HTLCs the node takes at a time, so that its wallet can claim them all. With anchors their transactions have no fee of their own
 * (BOLT 3 §htlc-timeout-and-htlc-success-transactions): a peer that lets a poor node take dozens, and goes silent once it has the preimages, has
 * those back that cannot be claimed before they expire. So beyond what the wallet can pay for a channel has one payment under way, however
 * large, and as much as it may have in HTLCs without outputs.
 */
export class ClaimRoom {
  readonly #options: ClaimRoomOptions
  readonly #lanes = new Map<ChannelId, Lane>()
  /** In all of them. */
  #claims = 0
  /** What there was of them when those that are settled were last looked for. */
  #left = 0
  /** The coins that did not suffice when that was told last. */
  #shortSat: Sat | null = null

  constructor(options: ClaimRoomOptions) {
    this.#options = options
  }

  /**
   * Whether these HTLCs can be taken beside those that are.
   * @param payment all that they are parts of is taken at once, or not at all
   */
  hasRoom(htlcs: readonly TakenHtlc[], payment: string): boolean {
    const more = this.#newOf(htlcs)
    if (more.length === 0) return true
    const coins = this.#options.coinsSat()
    const atMost = this.#costSat(this.#lanes.size + more.length, this.#claims + more.length)
    if (atMost <= coins) return this.#suffices(coins)
    this.#forget()
    const withThem = this.#byChannel(more, payment)
    const need = this.#needWith(withThem)
    if (need <= coins) return this.#suffices(coins)
    // In each channel no more is left without a claim than one payment, and what nothing enforces.
    return [...withThem.values()].every((taken) => {
      const others = need - this.#feesSat(taken)
      return this.#unclaimableMsat(taken, coins - others) <= this.#options.exposureMsat
    })
  }

  /** They are under way from here on. */
  keep(htlcs: readonly TakenHtlc[], payment: string): void {
    for (const { channelId, id, amountMsat } of this.#newOf(htlcs)) {
      const lane = this.#lanes.get(channelId) ?? { htlcs: new Map<bigint, Taken>(), seen: undefined, need: null }
      lane.htlcs.set(id, { payment, amountMsat })
      this.#lanes.set(channelId, Object.assign(lane, { seen: undefined, need: null }))
      this.#claims++
    }
    if (this.#claims > 2 * this.#left + FEW) this.#forget()
  }

  /** A payment was given back that there was no room for. */
  refused(): void {
    if (this.#shortSat !== null) return
    this.#shortSat = this.#options.coinsSat()
    this.#options.onShort()
  }

  /**
   * What their claims need of the wallet beside the reserve that it keeps for closes, as far as it has that: beyond, nothing can be kept.
   * @param ofEach of that reserve, for one channel
   */
  needSat(forCloses: Sat, ofEach: Sat): Sat {
    this.#forget()
    let sum = 0n
    for (const lane of this.#lanes.values()) {
      const beyond = this.#needOf(lane) - ofEach
      if (beyond > 0n) sum += beyond
    }
    const left = this.#options.coinsSat() - forCloses
    return (left > sum ? sum : left > 0n ? left : 0n) as Sat
  }

  /** Those that the wallet pays for, and that are not among the taken. Of a restored channel there is no commitment to pay for. */
  #newOf(htlcs: readonly TakenHtlc[]): readonly TakenHtlc[] {
    const leastMsat = feeOf(STAGE_WEIGHT, this.#options.feeratePerKw()) * 1000n
    return htlcs.filter(({ channelId, id, amountMsat }) => {
      if (amountMsat <= leastMsat || this.#lanes.get(channelId)?.htlcs.has(id)) return false
      const state = this.#options.stateOf(channelId)
      const channel = state && channelOf(state)
      return channel?.params.channelType === 'anchors' && !channel.restored
    })
  }

  /** What is taken of the channels that these are of, with them. */
  #byChannel(more: readonly TakenHtlc[], payment: string): ReadonlyMap<ChannelId, readonly Taken[]> {
    const byChannel = new Map<ChannelId, Taken[]>()
    for (const { channelId, amountMsat } of more) {
      const taken = byChannel.get(channelId) ?? [...(this.#lanes.get(channelId)?.htlcs.values() ?? [])]
      taken.push({ payment, amountMsat })
      byChannel.set(channelId, taken)
    }
    return byChannel
  }

  #suffices(coinsSat: Sat): true {
    if (this.#shortSat !== null && coinsSat > this.#shortSat) this.#shortSat = null
    return true
  }

  #needWith(byChannel: ReadonlyMap<ChannelId, readonly Taken[]>): bigint {
    let sum = 0n
    for (const [channelId, lane] of this.#lanes) if (!byChannel.has(channelId)) sum += this.#needOf(lane)
    for (const taken of byChannel.values()) sum += this.#feesSat(taken)
    return sum
  }

  #needOf(lane: Lane): bigint {
    const feeratePerKw = this.#options.feeratePerKw()
    if (lane.need?.feeratePerKw !== feeratePerKw) lane.need = { feeratePerKw, sat: this.#feesSat(lane.htlcs.values()) }
    return lane.need.sat
  }

  /** Of one channel. Nothing is claimed for more than it holds: peers make us keep no more coins than they have under way. */
  #feesSat(taken: Iterable<Taken>): bigint {
    const each = this.#costSat(0, 1)
    let [held, fees] = [0n, this.#costSat(1, 0)]
    for (const { amountMsat } of taken) {
      const amountSat = amountMsat / 1000n
      held += amountSat
      fees += amountSat < each ? amountSat : each
    }
    return held < fees ? held : fees
  }

  #costSat(channels: number, claims: number): bigint {
    return feeOf(channels * CLOSE_WEIGHT + claims * CLAIM_WEIGHT, DEAR * this.#options.feeratePerKw())
  }

  /** What is left of a channel's when the most valuable are claimed with these coins, beside the largest payment of that. */
  #unclaimableMsat(taken: readonly Taken[], coinsSat: bigint): bigint {
    const forClaims = coinsSat - this.#costSat(1, 0)
    const claimed = forClaims > 0n ? Number(forClaims / this.#costSat(0, 1)) : 0
    const left = [...taken].sort(byAmount).slice(claimed)
    const sums = new Map<string, bigint>()
    for (const t of left) sums.set(t.payment, (sums.get(t.payment) ?? 0n) + t.amountMsat)
    const largest = [...sums.values()].reduce((most, sum) => (sum > most ? sum : most), 0n)
    return left.reduce((sum, t) => sum + t.amountMsat, 0n) - largest
  }

  #forget(): void {
    this.#claims = 0
    for (const [channelId, lane] of this.#lanes) {
      const state = this.#options.stateOf(channelId)
      if (state === undefined || state !== lane.seen) {
        for (const id of lane.htlcs.keys()) if (!state || !mayNeedClaim(state, id)) lane.htlcs.delete(id)
        Object.assign(lane, { seen: state, need: null })
      }
      if (lane.htlcs.size === 0) this.#lanes.delete(channelId)
      this.#claims += lane.htlcs.size
    }
    this.#left = this.#claims
  }
}

const byAmount = (a: Taken, b: Taken): number =>
  a.amountMsat > b.amountMsat ? -1 : a.amountMsat < b.amountMsat ? 1 : 0

/** Whether an incoming HTLC that was taken may have to be claimed with a transaction which the wallet pays for. */
function mayNeedClaim(state: ChannelState, id: bigint): boolean {
  const channel = state.tag === 'closed' || isGivenUp(state) ? null : channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  if (!htlc || (htlc.removal !== null && htlc.removal.tag !== 'fulfilled')) return false
  if (state.tag !== 'closing') return true
  return state.onchain.outputs.some(
    ({ htlc: of, spend, spent }) => of?.direction === 'in' && of.id === id && spent === null && isHtlcStage(spend),
  )
}
