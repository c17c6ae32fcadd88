import type { Balance, Channel } from '../../api/schemas.ts'
import { fromHex } from '../../base/bytes.ts'
import { type Outpoint, type Txid, txid } from '../../base/ids.ts'
import { msat, type Sat, sat } from '../../base/units.ts'
import { decodeTransaction, type Transaction } from '../../bitcoin/transaction.ts'
import type { FulmenClient } from '../../client/index.ts'
import type { Funds, Spending } from './account.ts'
import type { Party } from './steps.ts'

export const fundsOf = ({ name }: { name: string }, balance: Balance): Funds => ({
  name,
  onchainSat: sat(balance.onchainConfirmedSat + balance.onchainUnconfirmedSat),
  closingSat: sat(balance.onchainClosingSat),
  channelMsat: msat(balance.channelLocalMsat + balance.channelPendingMsat),
})

/** Every coin in the wallets, as `txid:index`. */
export async function ownedOutpoints(parties: readonly Party[]): Promise<Set<string>> {
  const lists = await Promise.all(parties.map(({ client }) => client.wallet.utxos()))
  return new Set(lists.flat().map((utxo) => utxo.outpoint))
}

/** What the node says about a transaction that took part in a channel's life. */
export interface TransactionKind {
  readonly words: string
  readonly commitment: boolean
}

type Closing = NonNullable<Channel['closing']>

/** What a transaction of a close is: its node may have seen it from either side. */
export function nameOf(closing: Closing, tx: Closing['transactions'][number]): string {
  if (tx.txid !== closing.txid) return tx.kind
  return closing.how === 'cooperative' ? 'mutual close' : 'commitment'
}

/** By transaction id. */
export function kindsOf(
  channels: readonly { readonly label: string; readonly views: readonly Channel[] }[],
): Map<string, TransactionKind> {
  const kinds = new Map<string, TransactionKind>()
  for (const { label, views } of channels) {
    for (const { funding, closing } of views) {
      if (funding !== null) kinds.set(funding.split(':')[0]!, { words: `funding of ${label}`, commitment: false })
      if (closing === null) continue
      for (const tx of closing.transactions) {
        const name = nameOf(closing, tx)
        kinds.set(tx.txid, { words: `${name} of ${label}`, commitment: name === 'commitment' })
      }
    }
  }
  return kinds
}

/** The child of a commitment that nobody lists as its own: it was made to pay for its parent. */
function bumpOf(tx: Transaction, kinds: ReadonlyMap<string, TransactionKind>): TransactionKind | null {
  const parent = tx.inputs.map((input) => kinds.get(input.txid)).find((kind) => kind?.commitment)
  return parent ? { words: `child for ${parent.words}`, commitment: false } : null
}

/**
 * The transactions of the blocks from `fromHeight` to `toHeight` without the coinbases, read from the chain itself: the fees come from
 * what is in the blocks, not from what the nodes believe.
 */
export async function readSpendings(
  client: FulmenClient,
  range: { readonly fromHeight: number; readonly toHeight: number },
  kinds: ReadonlyMap<string, TransactionKind>,
): Promise<Spending[]> {
  const reader = new TransactionReader(client)
  const spendings: Spending[] = []
  for (let height = range.fromHeight; height <= range.toHeight; height++) {
    const { txids } = await client.chain.block(height)
    for (const id of txids.slice(1)) {
      const tx = await reader.read(txid(id))
      const kind = kinds.get(id) ?? bumpOf(tx, kinds) ?? { words: 'another transaction', commitment: false }
      spendings.push({
        txid: txid(id),
        kind: kind.words,
        commitment: kind.commitment,
        inputs: await Promise.all(tx.inputs.map(async (input) => await reader.spent(input))),
        outputs: tx.outputs.map((output) => output.amountSat),
      })
    }
  }
  return spendings
}

/** Reads each transaction once. */
class TransactionReader {
  readonly #client: FulmenClient
  readonly #known = new Map<Txid, Promise<Transaction>>()

  constructor(client: FulmenClient) {
    this.#client = client
  }

  read(id: Txid): Promise<Transaction> {
    let tx = this.#known.get(id)
    if (!tx) {
      tx = this.#client.chain.transaction(id).then(({ hex }) => decodeTransaction(fromHex(hex)))
      this.#known.set(id, tx)
    }
    return tx
  }

  async spent(outpoint: Outpoint): Promise<{ outpoint: Outpoint; amountSat: Sat }> {
    const output = (await this.read(outpoint.txid)).outputs[outpoint.index]
    if (!output) throw new TypeError(`${outpoint.txid} has no output ${outpoint.index}`)
    return { outpoint: { txid: outpoint.txid, index: outpoint.index }, amountSat: output.amountSat }
  }
}
