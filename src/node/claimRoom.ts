import type { ChannelId } from '../base/ids.ts'
import type { Msat, Sat } from '../base/units.ts'
import { channelOf } from '../channel/describe.ts'
import { getHtlc } from '../channel/htlcTable.ts'
import { CHILD_WEIGHT } from '../channel/onchain/anchor.ts'
import { isHtlcStage } from '../channel/onchain/claims.ts'
import { stageWeight } from '../channel/onchain/stages.ts'
import type { ChannelState } from '../channel/state.ts'
import { COMMITMENT_WEIGHT, feeOf, HTLC_OUTPUT_WEIGHT } from '../channel/tx/weights.ts'

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

export interface ClaimRoomOptions {
  readonly stateOf: (channelId: ChannelId) => ChannelState | undefined
  /** The estimate at which an HTLC is claimed, sat per 1,000 weight units. */
  readonly feeratePerKw: () => number
  /** What the wallet can pay with. */
  readonly coinsSat: () => Sat
  /** Of one channel, what nothing enforces: like HTLCs without an output. */
  readonly exposureMsat: Msat
  /** Something was given back for want of coins: told once, until they suffice. */
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
  /** By channel and id; those that are settled, too, until they are in the way. */
  readonly #taken = new Map<ChannelId, Map<bigint, Taken>>()
  #claims = 0
  /** What there was of them when those that are settled were last looked for. */
  #left = 0
  #isShort = false

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
    const withAll = (): bigint => {
      const channels = new Set([...this.#taken.keys(), ...more.map((h) => h.channelId)]).size
      return this.#costSat(channels, this.#claims + more.length)
    }
    if (withAll() <= coins) {
      this.#isShort = false
      return true
    }
    this.#forget()
    const need = withAll()
    if (need <= coins) return true
    return [...new Set(more.map((h) => h.channelId))].every((channelId) => {
      const mine = [...(this.#taken.get(channelId)?.values() ?? [])]
      for (const h of more) if (h.channelId === channelId) mine.push({ payment, amountMsat: h.amountMsat })
      const others = need - this.#costSat(1, mine.length)
      return this.#unclaimableMsat(mine, coins - others) <= this.#options.exposureMsat
    })
  }

  /** They are under way from here on. */
  keep(htlcs: readonly TakenHtlc[], payment: string): void {
    for (const { channelId, id, amountMsat } of this.#newOf(htlcs)) {
      const taken = this.#taken.get(channelId) ?? new Map<bigint, Taken>()
      this.#taken.set(channelId, taken.set(id, { payment, amountMsat }))
      this.#claims++
    }
    if (this.#claims > 2 * this.#left + FEW) this.#forget()
  }

  /** A payment was given back that there was no room for. */
  refused(): void {
    if (!this.#isShort) this.#options.onShort()
    this.#isShort = true
  }

  /** What their claims need of the wallet beside the reserve that it keeps for each channel. */
  needSat(reserveOfEach: Sat): Sat {
    this.#forget()
    let sum = 0n
    for (const { size } of this.#taken.values()) {
      const beyond = this.#costSat(1, size) - reserveOfEach
      if (beyond > 0n) sum += beyond
    }
    return sum as Sat
  }

  /** Those that the wallet pays for, and that are not among the taken. */
  #newOf(htlcs: readonly TakenHtlc[]): readonly TakenHtlc[] {
    const leastMsat = feeOf(STAGE_WEIGHT, this.#options.feeratePerKw()) * 1000n
    return htlcs.filter(({ channelId, id, amountMsat }) => {
      if (amountMsat <= leastMsat || this.#taken.get(channelId)?.has(id)) return false
      const state = this.#options.stateOf(channelId)
      return state !== undefined && channelOf(state)?.params.channelType === 'anchors'
    })
  }

  #costSat(channels: number, claims: number): bigint {
    return feeOf(channels * CLOSE_WEIGHT + claims * CLAIM_WEIGHT, DEAR * this.#options.feeratePerKw())
  }

  /**
   * What is left of a channel's when the most valuable are claimed with these coins, beside the largest. Where there are none for any, it is
   * all the same in how many parts that comes.
   */
  #unclaimableMsat(taken: readonly Taken[], coinsSat: bigint): bigint {
    const forClaims = coinsSat - this.#costSat(1, 0)
    const claimed = forClaims > 0n ? Number(forClaims / this.#costSat(0, 1)) : 0
    const left = [...taken].sort(byAmount).slice(claimed)
    const sums = new Map<string, bigint>()
    if (claimed === 0) for (const t of left) sums.set(t.payment, (sums.get(t.payment) ?? 0n) + t.amountMsat)
    const largest = [...sums.values()].reduce((most, sum) => (sum > most ? sum : most), left[0]?.amountMsat ?? 0n)
    return left.reduce((sum, t) => sum + t.amountMsat, 0n) - largest
  }

  #forget(): void {
    for (const [channelId, taken] of this.#taken) {
      const state = this.#options.stateOf(channelId)
      for (const id of taken.keys()) if (!state || !mayNeedClaim(state, id)) taken.delete(id)
      if (taken.size === 0) this.#taken.delete(channelId)
    }
    this.#claims = [...this.#taken.values()].reduce((sum, { size }) => sum + size, 0)
    this.#left = this.#claims
  }
}

const byAmount = (a: Taken, b: Taken): number =>
  a.amountMsat > b.amountMsat ? -1 : a.amountMsat < b.amountMsat ? 1 : 0

/** Whether an incoming HTLC that was taken may have to be claimed with a transaction which the wallet pays for. */
function mayNeedClaim(state: ChannelState, id: bigint): boolean {
  const channel = state.tag === 'closed' ? null : channelOf(state)
  const htlc = channel && getHtlc(channel.commitments.incoming, id)
  if (!htlc || (htlc.removal !== null && htlc.removal.tag !== 'fulfilled')) return false
  if (state.tag !== 'closing') return true
  return state.onchain.outputs.some(
    ({ htlc: of, spend, spent }) => of?.direction === 'in' && of.id === id && spent === null && isHtlcStage(spend),
  )
}
