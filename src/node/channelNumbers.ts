import type { NodeId } from '../base/ids.ts'
import { pack } from '../base/pack.ts'
import { keys } from '../store/schema.ts'
import type { ChannelMeta } from './channels.ts'
import type { TurnScope } from './reactor.ts'

export interface ChannelNumbersOptions {
  readonly newId: () => string
  /** Unix milliseconds. */
  readonly now: () => number
  /** A wallet script that nobody has been given. */
  readonly newScript: () => Uint8Array
}

/** Of the 2^31 key indexes that there are: how many a start may leave out, and one that knows of none that were in use. */
const LEAP = 2 ** 16
const LEAP_IN_THE_DARK = 2 ** 30
/** No leap goes beyond it, however often the node is started: from there on one is left for each channel. */
const LAST_LANDING = 2 ** 31 - 2 ** 24

/** What each channel has for itself alone: its place among the others, the index of its keys, and where its funds go when it closes. */
export class ChannelNumbers {
  readonly #options: ChannelNumbersOptions
  /**
   * Of openings that came to nothing, which nobody has paid to. Peers could otherwise use up addresses until those in use lie further
   * apart than a wallet restored from its seed looks.
   */
  readonly #spareScripts: Uint8Array[] = []
  #nextKeyIndex = 1
  #storedKeyIndex = 1
  #nextSeq = 1

  constructor(options: ChannelNumbersOptions) {
    this.#options = options
  }

  get nextKeyIndex(): number {
    return this.#nextKeyIndex
  }

  take(peer: NodeId, localId = this.#options.newId(), keyIndex = this.#nextKeyIndex++): ChannelMeta {
    const { newScript, now } = this.#options
    const sweepScriptPubKey = this.#spareScripts.pop() ?? newScript()
    const createdAt = new Date(now()).toISOString()
    return { localId, seq: this.#nextSeq++, createdAt, keyIndex, peer, sweepScriptPubKey }
  }

  /** Of a channel of which nothing is left. */
  giveBack({ sweepScriptPubKey }: ChannelMeta): void {
    this.#spareScripts.push(sweepScriptPubKey)
  }

  /**
   * At each start, after what the database knows to be in use: leaves out as many key indexes as chance would have it. Whoever knows the
   * secrets of an old channel could punish a new one that has the same keys, and the database may know nothing of the old one: it may be
   * a copy of some time ago, or a new one for words that were in use before.
   * @param below a number from 0 up to before its argument
   */
  leap(isNewSeed: boolean, below: (limit: number) => number): void {
    const inTheDark = this.#nextKeyIndex === 1 && !isNewSeed
    const room = Math.max(1, LAST_LANDING - this.#nextKeyIndex)
    this.#nextKeyIndex += below(Math.min(inTheDark ? LEAP_IN_THE_DARK : LEAP, room))
  }

  /** Numbers that a stored channel has are never given out again. */
  reserve(used: { readonly keyIndex: number; readonly seq: number }): void {
    this.#nextKeyIndex = Math.max(this.#nextKeyIndex, used.keyIndex + 1)
    this.#nextSeq = Math.max(this.#nextSeq, used.seq + 1)
  }

  /** An index that was given out is never given out again, also when the channel left no record. */
  endOfTurn(scope: TurnScope): void {
    if (this.#nextKeyIndex === this.#storedKeyIndex) return
    this.#storedKeyIndex = this.#nextKeyIndex
    scope.write({ key: keys.keyIndex, value: pack(this.#nextKeyIndex) })
  }
}
