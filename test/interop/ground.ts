import { fromHex } from '../../src/base/bytes.ts'
import type { Txid } from '../../src/base/ids.ts'
import { encodeBlock } from '../../src/bitcoin/block.ts'
import { COINBASE_MATURITY } from '../../src/bitcoin/checkTransaction.ts'
import {
  decodeTransaction,
  encodeTransaction,
  type Transaction,
  type TxOutput,
  txidOf,
} from '../../src/bitcoin/transaction.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { type Rejection, rejectionText } from '../../src/chain/embedded/rejection.ts'
import { MEMPOOL_METHODS } from '../../src/chain/embedded/rpc/mempoolMethods.ts'
import { startRpcServer } from '../../src/chain/embedded/rpc.ts'
import { fundTransaction } from '../../src/wallet/build.ts'
import { addTransaction, applyBlock, issueAddress } from '../../src/wallet/coins.ts'
import { createMnemonic, masterKey, walletAccount, walletSigner } from '../../src/wallet/keys.ts'
import { emptyWallet } from '../../src/wallet/state.ts'
import type { LdkBroadcast, LdkPeer } from './ldk.ts'

/** What the chain said of a transaction that somebody handed to it. */
export interface Verdict {
  readonly from: 'ldk' | 'fulmen'
  readonly txid: Txid
  readonly tx: Transaction
  /** null: accepted. */
  readonly refused: string | null
}

/** The one chain under every node of a test: ours, with full validation. Its miner has coins to give away. */
export interface Ground {
  readonly chain: EmbeddedChain
  /** For a node's configuration. */
  readonly url: string
  /** Every transaction that a node broadcast, with the chain's answer, oldest first. */
  readonly verdicts: readonly Verdict[]
  /** What the backend estimates for every target, sat per 1,000 weight units; null: it has no estimate. */
  feerate: number | null
  /** Blocks as hex, from height 1. */
  readonly blocks: readonly string[]
  /** Mines one block of what pays best. */
  mineBlock(): void
  /** A signed transaction of the miner's with these outputs, as hex, for a channel that LDK funds. */
  buildHex(outputs: readonly TxOutput[]): string
  /** The same, in the mempool. */
  give(outputs: readonly TxOutput[]): void
  /** Everything that this LDK node broadcasts goes to the chain. */
  serve(ldk: LdkPeer): void
  /** Calls back when the mempool took or refused something, or a block came. */
  onChange(listener: () => void): void
  close(): Promise<void>
}

const COINS = 5

export async function startGround(): Promise<Ground> {
  const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
  const rpc = await startRpcServer(chain, { port: 0, user: 'test', password: 'test' })
  const master = masterKey(createMnemonic(12), 'regtest')
  const signer = walletSigner(master)
  const issued = issueAddress(
    emptyWallet({ account: walletAccount(master), tip: { height: 0, hash: chain.state.at(0)!.hash } }),
  )
  let wallet = issued.state
  const verdicts: Verdict[] = []
  const blocks: string[] = []
  const listeners: (() => void)[] = []
  const changed = (): void => {
    for (const listener of listeners) listener()
  }

  const mineBlock = (): void => {
    chain.mine(1, issued.scriptPubKey)
    const { block, hash, txids, height } = chain.state.at(chain.state.height)!
    const { previousHash, time } = block.header
    wallet = applyBlock(wallet, { hash, previousHash, height, time, transactions: block.transactions, txids })
    blocks.push(Buffer.from(encodeBlock(block)).toString('hex'))
    changed()
  }
  const build = (outputs: readonly TxOutput[]): Transaction => {
    const { state, tx } = fundTransaction(wallet, { outputs, feeratePerKw: 1_000, owner: 'test' }, signer)
    wallet = addTransaction(state, tx, { now: chain.now() })
    return tx
  }
  const record = (from: Verdict['from'], tx: Transaction, refused: string | null): void => {
    verdicts.push({ from, txid: txidOf(tx), tx, refused })
    changed()
  }
  const { fromLdk, quietly } = recordVerdicts(chain, record)

  const ground: Ground = {
    chain,
    url: `http://test:test@${rpc.host}:${rpc.port}`,
    verdicts,
    feerate: null,
    blocks,
    mineBlock,
    buildHex: (outputs) => Buffer.from(encodeTransaction(build(outputs))).toString('hex'),
    give(outputs) {
      const taken = quietly(() => chain.submit(build(outputs)))
      if (!taken.ok) throw new Error(rejectionText(taken.error))
    },
    serve(ldk) {
      let parts: Transaction[] = []
      ldk.onBroadcast((broadcast: LdkBroadcast) => {
        parts.push(decodeTransaction(fromHex(broadcast.tx)))
        if (parts.length < broadcast.package) return
        fromLdk(parts)
        parts = []
      })
    },
    onChange: (listener) => void listeners.push(listener),
    async close() {
      noMoreFees()
      await rpc.close()
      chain.close()
    },
  }
  const noMoreFees = estimateFees(ground)
  for (let i = 0; i < COINS + COINBASE_MATURITY; i++) mineBlock()
  return ground
}

/** The embedded chain has no market to learn fees from: they are the test's to say. One ground at a time in a process. */
function estimateFees(ground: Ground): () => void {
  const method = MEMPOOL_METHODS.estimatesmartfee!
  const { run } = method
  Object.assign(method, {
    run: (...args: Parameters<typeof run>) =>
      ground.feerate === null ? run(...args) : { feerate: (ground.feerate * 4) / 1e8, blocks: 2 },
  })
  return () => void Object.assign(method, { run })
}

/**
 * Has the verdict on every transaction of both nodes recorded: those that ours sends over RPC are seen on their way into the mempool,
 * those of LDK go through `fromLdk`.
 */
function recordVerdicts(
  chain: EmbeddedChain,
  record: (from: Verdict['from'], tx: Transaction, refused: string | null) => void,
): { fromLdk(txs: readonly Transaction[]): void; quietly<T>(act: () => T): T } {
  const { mempool } = chain
  const [test, add] = [mempool.test.bind(mempool), mempool.add.bind(mempool)]
  let watching = true
  mempool.test = (t, leniency) => {
    const result = test(t, leniency)
    if (watching && !result.ok && leniency === undefined) record('fulmen', t.tx, rejectionText(result.error))
    return result
  }
  mempool.add = (candidate) => {
    const entry = add(candidate)
    if (watching) record('fulmen', candidate.tx, null)
    return entry
  }
  const quietly = <T>(act: () => T): T => {
    watching = false
    try {
      return act()
    } finally {
      watching = true
    }
  }
  const verdict = (r: Rejection): string | null => (/already/.test(r.reason) ? null : rejectionText(r))
  const fromLdk = (txs: readonly Transaction[]): void =>
    quietly(() => {
      const [only] = txs
      if (txs.length === 1 && only) {
        const taken = chain.submit(only)
        return record('ldk', only, taken.ok ? null : verdict(taken.error))
      }
      for (const [t, r] of chain.submitPackage(txs).results) record('ldk', t.tx, r.ok ? null : verdict(r.rejection))
    })
  return { fromLdk, quietly }
}
