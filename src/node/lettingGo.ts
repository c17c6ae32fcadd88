import type { ChannelId } from '../base/ids.ts'

/**
 * What may be failed back of forwards whose next node still holds them. It can take each of them after all, and we then pay it
 * without being paid: with a peer before and a peer behind us it could do so every few hours. So no more than this in a day; what is
 * beyond it is left to the node before, which loses nothing by waiting and cannot take it twice.
 */
const PER_CHANNEL_MSAT = 1_000_000n
const TOTAL_MSAT = 5_000_000n
const DAY_BLOCKS = 144

interface LetGo {
  readonly height: number
  readonly channelId: ChannelId
  readonly amountMsat: bigint
}

/** Keeps the account of a day, in memory: a restart begins a new one. */
export class LettingGo {
  #list: readonly LetGo[] = []

  /** Whether this much more may be let go at this height; counts it when it may. */
  take(channelId: ChannelId, amountMsat: bigint, height: number): boolean {
    const list = this.#list.filter((x) => x.height > height - DAY_BLOCKS)
    const sum = (of: readonly LetGo[]): bigint => of.reduce((total, x) => total + x.amountMsat, amountMsat)
    this.#list = list
    if (sum(list) > TOTAL_MSAT || sum(list.filter((x) => x.channelId === channelId)) > PER_CHANNEL_MSAT) return false
    this.#list = [...list, { height, channelId, amountMsat }]
    return true
  }
}
