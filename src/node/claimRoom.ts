import type { ChannelId } from '../base/ids.ts'
import { type Msat, msatToSatFloor, type Sat } from '../base/units.ts'
import { channelOf } from '../channel/describe.ts'
import { getHtlc } from '../channel/htlcTable.ts'
import { CHILD_WEIGHT } from '../channel/onchain/anchor.ts'
import { isHtlcStage } from '../channel/onchain/claims.ts'
import { stageWeight } from '../channel/onchain/stages.ts'
import type { ChannelState } from '../channel/state.ts'
import { COMMITMENT_WEIGHT, feeOf, HTLC_OUTPUT_WEIGHT } from '../channel/tx/weights.ts'
import type { ChannelContext } from '../channel/types.ts'
import { isWorthClaiming } from '../channel/worthClosing.ts'
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
  /** By the estimates of when it was taken, its claim. */
  readonly isWorth: boolean
}
type NewHtlc = TakenHtlc & Pick<Taken, 'isWorth'>
/** Of one channel; those that are settled, too, until they are in the way. */
interface Lane {
  readonly htlcs: Map<bigint, Taken>
  /** In which those that are settled were last looked for. */
  seen: ChannelState | undefined
  /** msat of those that are not worth their claims. */
  smallMsat: bigint
  /** What the others need of the wallet, and the feerate at which it was reckoned. */
  need: { readonly feeratePerKw: number; readonly sat: bigint } | null
}

export interface ClaimRoomOptions {
  readonly stateOf: (channelId: ChannelId) => ChannelState | undefined
  readonly feerates: () => ChannelContext['feerates']
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
/** Of a channel's HTLCs that are not worth their claims: as many of 1,000 sat as there may be. */
const MOST_SMALL_MSAT = 500_000_000n
/** Fewer are not looked through for those that are settled. */
const FEW = 64

/**
 * How many HTLCs the node takes at a time, so that its wallet can claim them all. With anchors their transactions have no fee of their own
 * (BOLT 3 §htlc-timeout-and-htlc-success-transactions): a peer that lets a poor node take dozens, and goes silent once it has the preimages, has
 * those back that cannot be claimed before they expire. So beyond what the wallet can pay for a channel has one payment under way, however
 * large, and as much as it may have in HTLCs without outputs. Those that are not worth a claim, whatever the wallet has, are limited alike.
 */
export class ClaimRoom {
  readonly #options: ClaimRoomOptions
  readonly #lanes = new Map<ChannelId, Lane>()
  /** In all of them: of how many, and how many of those are claimed. */
  #kept = 0
  #claims = 0
  /** How many there were of them when those that are settled were last looked for. */
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
    if (!this.#hasPlenty(more)) {
      this.#forget()
      if (!this.#fits(more, payment, this.#options.coinsSat())) return false
    }
    if (this.#shortSat !== null && this.#options.coinsSat() > this.#shortSat) this.#shortSat = null
    return true
  }

  /** They are under way from here on. */
  keep(htlcs: readonly TakenHtlc[], payment: string): void {
    for (const { channelId, id, amountMsat, isWorth } of this.#newOf(htlcs)) {
      const lane = this.#lanes.get(channelId) ?? { htlcs: new Map(), smallMsat: 0n, seen: undefined, need: null }
      lane.htlcs.set(id, { payment, amountMsat, isWorth })
      if (!isWorth) lane.smallMsat += amountMsat
      this.#lanes.set(channelId, Object.assign(lane, { seen: undefined, need: null }))
      this.#kept++
      if (isWorth) this.#claims++
    }
    if (this.#kept > 2 * this.#left + FEW) this.#forget()
  }

  /** A payment was given back for want of room: that is told where more coins would help. */
  refused(htlcs: readonly TakenHtlc[], payment: string): void {
    if (this.#shortSat !== null) return
    this.#forget()
    const coins = this.#options.coinsSat()
    const more = this.#newOf(htlcs)
    if (this.#fits(more, payment, coins) || !this.#fits(more, payment, null)) return
    this.#shortSat = coins
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

  /** Those of channels whose claims the wallet pays for that are not among the taken. Of a restored channel there is no commitment to pay for. */
  #newOf(htlcs: readonly TakenHtlc[]): readonly NewHtlc[] {
    const found: NewHtlc[] = []
    for (const htlc of htlcs) {
      if (this.#lanes.get(htlc.channelId)?.htlcs.has(htlc.id)) continue
      const state = this.#options.stateOf(htlc.channelId)
      const channel = state && channelOf(state)
      if (channel?.params.channelType !== 'anchors' || channel.restored) continue
      const value = { direction: 'in', amountSat: msatToSatFloor(htlc.amountMsat) } as const
      found.push({ ...htlc, isWorth: isWorthClaiming(channel, value, { feerates: this.#options.feerates() }) })
    }
    return found
  }

  /** Whether there is room without a look at which of the taken are settled by now. */
  #hasPlenty(more: readonly NewHtlc[]): boolean {
    const small = more.filter((h) => !h.isWorth)
    const worth = more.length - small.length
    const mostMsat = MOST_SMALL_MSAT - small.reduce((sum, h) => sum + h.amountMsat, 0n)
    return (
      (worth === 0 || this.#costSat(this.#lanes.size + worth, this.#claims + worth) <= this.#options.coinsSat()) &&
      small.every(({ channelId }) => (this.#lanes.get(channelId)?.smallMsat ?? 0n) <= mostMsat)
    )
  }

  /**
   * In each channel no more is left without a claim than one payment, and what nothing enforces.
   * @param coinsSat null: as many as are needed
   */
  #fits(more: readonly NewHtlc[], payment: string, coinsSat: Sat | null): boolean {
    const withThem = this.#byChannel(more, payment)
    const need = this.#needWith(withThem)
    return [...withThem.values()].every((taken) => {
      const small = taken.filter((t) => !t.isWorth)
      if (besideLargestMsat(small) > MOST_SMALL_MSAT) return false
      if (coinsSat === null || need <= coinsSat) return true
      const worth = taken.filter((t) => t.isWorth).sort(byAmount)
      const claims = this.#claimsWith(coinsSat - (need - this.#feesSat(taken)))
      return besideLargestMsat(worth.slice(claims)) <= this.#options.exposureMsat
    })
  }

  /** What is taken of the channels that these are of, with them. */
  #byChannel(more: readonly NewHtlc[], payment: string): ReadonlyMap<ChannelId, readonly Taken[]> {
    const byChannel = new Map<ChannelId, Taken[]>()
    for (const { channelId, amountMsat, isWorth } of more) {
      const taken = byChannel.get(channelId) ?? [...(this.#lanes.get(channelId)?.htlcs.values() ?? [])]
      taken.push({ payment, amountMsat, isWorth })
      byChannel.set(channelId, taken)
    }
    return byChannel
  }

  #needWith(byChannel: ReadonlyMap<ChannelId, readonly Taken[]>): bigint {
    let sum = 0n
    for (const [channelId, lane] of this.#lanes) if (!byChannel.has(channelId)) sum += this.#needOf(lane)
    for (const taken of byChannel.values()) sum += this.#feesSat(taken)
    return sum
  }

  #needOf(lane: Lane): bigint {
    const feeratePerKw = this.#options.feerates().claim
    if (lane.need?.feeratePerKw !== feeratePerKw) lane.need = { feeratePerKw, sat: this.#feesSat(lane.htlcs.values()) }
    return lane.need.sat
  }

  /** Of one channel. Nothing is claimed for more than it holds: peers make us keep no more coins than they have under way. */
  #feesSat(taken: Iterable<Taken>): bigint {
    const each = this.#costSat(0, 1)
    let [held, fees] = [0n, this.#costSat(1, 0)]
    for (const { amountMsat, isWorth } of taken) {
      if (!isWorth) continue
      const amountSat = msatToSatFloor(amountMsat)
      held += amountSat
      fees += amountSat < each ? amountSat : each
    }
    return held < fees ? held : fees
  }

  #costSat(channels: number, claims: number): bigint {
    return feeOf(channels * CLOSE_WEIGHT + claims * CLAIM_WEIGHT, DEAR * this.#options.feerates().claim)
  }

  /** How many of one channel's. */
  #claimsWith(coinsSat: bigint): number {
    const left = coinsSat - this.#costSat(1, 0)
    return left > 0n ? Number(left / this.#costSat(0, 1)) : 0
  }

  #forget(): void {
    this.#kept = 0
    this.#claims = 0
    for (const [channelId, lane] of this.#lanes) {
      const state = this.#options.stateOf(channelId)
      if (state === undefined || state !== lane.seen) {
        for (const id of lane.htlcs.keys()) if (!state || !mayNeedClaim(state, id)) lane.htlcs.delete(id)
        Object.assign(lane, { seen: state, need: null })
      }
      if (lane.htlcs.size === 0) this.#lanes.delete(channelId)
      lane.smallMsat = 0n
      this.#kept += lane.htlcs.size
      for (const { isWorth, amountMsat } of lane.htlcs.values()) {
        if (isWorth) this.#claims++
        else lane.smallMsat += amountMsat
      }
    }
    this.#left = this.#kept
  }
}

/** Of all but the payment with the largest part in them. */
function besideLargestMsat(taken: readonly Taken[]): bigint {
  const sums = new Map<string, bigint>()
  for (const t of taken) sums.set(t.payment, (sums.get(t.payment) ?? 0n) + t.amountMsat)
  let [all, largest] = [0n, 0n]
  for (const sum of sums.values()) {
    all += sum
    if (sum > largest) largest = sum
  }
  return all - largest
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
