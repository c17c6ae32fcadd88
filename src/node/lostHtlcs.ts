import { toHex } from '../base/bytes.ts'
import type { ChannelId } from '../base/ids.ts'
import { pack, unpackIfWhole } from '../base/pack.ts'
import { crypto } from '../crypto/crypto.ts'
import { type HeldContext, isOpen, type LostOffer, noteOf } from '../payment/held.ts'
import type { ForwardRecord, PaymentEffect } from '../payment/types.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver, Op } from '../store/types.ts'
import type { TurnScope } from './reactor.ts'

export interface LostHtlcsOptions {
  /** Where the channels of a forward stand that may have been offered before this start. */
  readonly standings: (
    origin: LostOffer['origin'],
    next: LostOffer['next'],
  ) => Pick<HeldContext, 'isSound' | 'incoming' | 'outgoing' | 'isUnread'>
  /**
   * Has a preimage tried on the commitment by which a channel ends, where that may be one that we do not know.
   * @returns true when it need not be any more: the channel has it, or is over for good. False also where the channel cannot be read.
   */
  readonly tryPreimage: (channelId: ChannelId, preimage: Uint8Array) => boolean
  /** When that HTLC could still be paid to us with its preimage, also when it was failed. */
  readonly wantsPreimage: (channelId: ChannelId, id: bigint) => 'now' | 'later' | 'never'
  /** Whether the peer has that HTLC back; null while its channel is closing, and the close is in no block. */
  readonly isBack: (channelId: ChannelId, id: bigint) => boolean | null
}

interface LostPreimage {
  readonly channelId: ChannelId
  /** 32 B. */
  readonly preimage: Uint8Array
  /** Of an HTLC that its channel knows, and has failed. */
  readonly id?: bigint
  /** It was told as failed, and has yet to be told as settled. */
  readonly forward?: ForwardRecord
}

/**
 * What is known of HTLCs that writes which were lost may have had, or that were failed before their preimage came, until their channels are
 * told: nothing else remembers it. It is written with the turn that makes it. No more of it comes than hangs in the channels.
 */
export class LostHtlcs {
  readonly #options: LostHtlcsOptions
  /** Forwards that went back before the next node was heard of: where a channel shows that it had the offer after all, its output is claimed. */
  readonly #offers = new Map<string, LostOffer>()
  /** Of forwards whose incoming channel has lost the HTLC, until it shows that, and when it ends; or has failed it, until it is gone. */
  readonly #preimages = new Map<string, LostPreimage>()
  /** Keys of what had served at the last block. */
  readonly #served = new Set<string>()
  readonly #ops: Op[] = []

  constructor(options: LostHtlcsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#offers.size + this.#preimages.size
  }

  /** @returns how many records could not be read, and are left out */
  async load(driver: Driver): Promise<number> {
    const offers = await read(driver, 'offer', this.#offers, ({ origin, next }) => !!origin?.channelId && !!next)
    return offers + (await read(driver, 'preimage', this.#preimages, ({ preimage }) => preimage instanceof Uint8Array))
  }

  offered(offer: LostOffer): void {
    const { channelId, htlcId } = offer.origin
    this.#put(this.#offers, keys.lostHtlc('offer', `${channelId}:${htlcId}`), offer)
  }

  paid(channelId: ChannelId, preimage: Uint8Array): void {
    if (this.#options.tryPreimage(channelId, preimage)) return
    const name = `${channelId}:${toHex(crypto.sha256(preimage))}`
    this.#put(this.#preimages, keys.lostHtlc('preimage', name), { channelId, preimage })
  }

  /**
   * The HTLC was failed before its preimage came: where the peer does not take that in the end, it is paid.
   * @param forwardOf what was told as failed: asked for what is news alone, since a peer may repeat the preimage in each connection
   */
  failed(
    proof: Omit<LostPreimage, 'forward'> & { readonly id: bigint },
    forwardOf: () => ForwardRecord | null,
  ): readonly PaymentEffect[] {
    const { channelId, id } = proof
    const key = keys.lostHtlc('preimage', `${channelId}:${id}`)
    const known = this.#preimages.get(key)
    if (known) return this.#paid(known)
    if (this.#options.wantsPreimage(channelId, id) === 'never') return []
    const forward = forwardOf()
    const lost = { ...proof, ...(forward && { forward }) }
    this.#write(this.#preimages, key, lost)
    return this.#paid(lost)
  }

  /** A channel may have shown where it stands: all that have yet to be told are. */
  tell(): readonly PaymentEffect[] {
    const paid = [...this.#preimages.values()].flatMap((lost) => this.#paid(lost))
    return [...paid, ...[...this.#offers.values()].flatMap((offer) => noteOf(offer, this.#where(offer).outgoing))]
  }

  #paid({ forward, ...lost }: LostPreimage): readonly PaymentEffect[] {
    const { channelId, preimage, id } = lost
    if (id === undefined) {
      this.#options.tryPreimage(channelId, preimage)
      return []
    }
    const { wantsPreimage, isBack } = this.#options
    const wants = wantsPreimage(channelId, id)
    const command: PaymentEffect = { tag: 'command', channelId, command: { tag: 'fulfillHtlc', id, preimage } }
    const effects = wants === 'now' ? [command] : []
    if (!forward || wants === 'later' || isBack(channelId, id) !== false) return effects
    this.#write(this.#preimages, keys.lostHtlc('preimage', `${channelId}:${id}`), lost)
    return [...effects, { tag: 'notify', event: { type: 'forward.settled', forward, detail: null } }]
  }

  /** With every block: forgets what has served, which channels have on disk by the next one. */
  review(): void {
    for (const [key, offer] of this.#offers) this.#look(this.#offers, key, !isOpen(this.#where(offer)))
    for (const [key, lost] of this.#preimages) this.#look(this.#preimages, key, this.#isOver(lost))
  }

  endOfTurn(scope: TurnScope): void {
    for (const op of this.#ops.splice(0)) scope.write(op)
  }

  #isOver({ channelId, preimage, id, forward }: LostPreimage): boolean {
    const { tryPreimage, wantsPreimage, isBack } = this.#options
    if (id === undefined) return tryPreimage(channelId, preimage)
    return wantsPreimage(channelId, id) === 'never' && !(forward && isBack(channelId, id) === null)
  }

  #where({ origin, next }: LostOffer): ReturnType<LostHtlcsOptions['standings']> {
    return this.#options.standings(origin, next)
  }

  #put<R>(records: Map<string, R>, key: string, record: R): void {
    if (!records.has(key)) this.#write(records, key, record)
  }

  #write<R>(records: Map<string, R>, key: string, record: R): void {
    records.set(key, record)
    this.#ops.push({ key, value: pack(record) })
  }

  #look(records: Map<string, unknown>, key: string, isServed: boolean): void {
    if (!isServed) this.#served.delete(key)
    else if (!this.#served.delete(key)) this.#served.add(key)
    else {
      records.delete(key)
      this.#ops.push({ key })
    }
  }
}

async function read<R>(
  driver: Driver,
  kind: 'offer' | 'preimage',
  into: Map<string, R>,
  isWhole: (record: R) => boolean,
): Promise<number> {
  let unreadable = 0
  for await (const [key, value] of driver.entries(prefixRange(keys.lostHtlc(kind, '')))) {
    const record = unpackIfWhole<R>(value)
    if (record && isWhole(record)) into.set(key, record)
    else unreadable++
  }
  return unreadable
}
