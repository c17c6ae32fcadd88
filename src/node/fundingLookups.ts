import { type Outpoint, scidParts } from '../base/ids.ts'
import type { Sat } from '../base/units.ts'
import type { ChainSource } from '../chain/source.ts'
import { fundingOutputOf } from '../gossip/validate.ts'
import type { ChannelAnnouncement } from '../wire/messages/gossip.ts'

/** Whole blocks are fetched: more at once would be too much memory. */
const AT_ONCE = 4

/** Looks announced channels up in the chain, a few at a time. */
export class FundingLookups {
  readonly #source: ChainSource
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(source: ChainSource) {
    this.#source = source
  }

  /**
   * The announced funding output when it exists, pays to the announced keys and is unspent; else null.
   * @throws ChainError when the backend is away
   */
  async find(m: ChannelAnnouncement): Promise<{ outpoint: Outpoint; capacitySat: Sat } | null> {
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running++
    try {
      return await lookUp(this.#source, m)
    } finally {
      const next = this.#waiting.shift() // takes this one's place
      if (next) next()
      else this.#running--
    }
  }
}

async function lookUp(
  source: ChainSource,
  m: ChannelAnnouncement,
): Promise<{ outpoint: Outpoint; capacitySat: Sat } | null> {
  const block = await source.block(await source.blockHash(scidParts(m.shortChannelId).blockHeight))
  const found = fundingOutputOf(
    m,
    block.transactions.map((tx, i) => ({ txid: block.txids[i]!, tx })),
  )
  if (!found.ok) return null
  return (await source.utxo(found.value.outpoint)) ? found.value : null
}
