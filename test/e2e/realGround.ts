import { outpointKey } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import { selectTransactions } from '../../src/chain/embedded/miner.ts'
import { channelOf, onchainOf } from '../../src/channel/describe.ts'
import { outputOf, pay, spend, TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { Life } from '../node/life.ts'
import { type Name, NOBODY, nodeIdOf, type Snapshot, World, type WorldOptions } from '../node/world.ts'
import type { Kind } from './kindOf.ts'
import { RealBackend } from './realBackend.ts'
import { BITCOIND, type RealNode, startBitcoind } from './realNode.ts'

export const BOTH: readonly Name[] = ['alice', 'bob']
/** The smallest mempool that a node can have, 5 MB; transactions as large as nodes relay them fill it fast by their witnesses. */
export const SMALL_MEMPOOL = ['-maxmempool=5']
const CROWD = 12
const CROWD_INPUTS = 47
const CROWD_VSIZE = 98_000n
const ITEMS = Array.from({ length: 100 }, () => new Uint8Array(80))
const DROP_ALL = Uint8Array.of(...new Array(50).fill(0x6d), 0x51)

/** Alice and bob with coins, and coins for anybody; made on the embedded chain alone. */
export async function makeBase(options: WorldOptions = {}): Promise<Snapshot> {
  const world = await World.start(BOTH, null, options)
  world.chain.mine(1, TRUE_OUTPUT)
  await world.fund(3)
  world.chain.mineExactly([crowdCoins(world)], NOBODY)
  await world.settle()
  const base = world.snapshot()
  world.close()
  return base
}

/** The first block's coin, in parts for the crowd. */
function crowdCoins({ chain: { state } }: World): Transaction {
  const coin = outputOf(state.at(1)!.block.transactions[0]!, 0)
  const count = CROWD * CROWD_INPUTS
  const each = pay((coin.amountSat - 100_000n) / BigInt(count), p2wsh(DROP_ALL))
  return spend([coin], { outputs: Array.from({ length: count }, () => each) })
}

/** Nodes that have a real Bitcoin node for a chain. */
export class Ground {
  readonly life: Life
  readonly real: RealBackend
  readonly #bitcoind: RealNode

  private constructor(life: Life, real: RealBackend, bitcoind: RealNode) {
    this.life = life
    this.real = real
    this.#bitcoind = bitcoind
  }

  static async begin(base: Snapshot, options: WorldOptions = {}, more: readonly string[] = []): Promise<Ground> {
    const bitcoind = await startBitcoind(BITCOIND!, ['-txindex=0', ...more])
    let real: RealBackend | undefined
    try {
      const world = await World.start(BOTH, base, {
        ...options,
        backendOf: (chain) => {
          real = new RealBackend(bitcoind, chain)
          return real
        },
      })
      return new Ground(new Life(world), real!, bitcoind)
    } catch (e) {
      await bitcoind.stop()
      throw e
    }
  }

  async end(): Promise<void> {
    this.world.close()
    await this.#bitcoind.stop()
  }

  get world(): World {
    return this.life.world
  }

  /** The real node starts again; with -persistmempool=0 it has forgotten what waited for a block. */
  restartBitcoind(): Promise<void> {
    return this.#bitcoind.restart()
  }

  /** Fills a small mempool with transactions of 10, 12, 14 … sat per vbyte. */
  async crowd(): Promise<void> {
    const free = crowdCoins(this.world)
    const txs = Array.from({ length: CROWD }, (_, n) => {
      const coins = Array.from({ length: CROWD_INPUTS }, (_, i) => outputOf(free, n * CROWD_INPUTS + i))
      const tx = spend(coins, { fee: CROWD_VSIZE * BigInt(10 + 2 * n) })
      return { ...tx, inputs: tx.inputs.map((i) => ({ ...i, witness: [...ITEMS, DROP_ALL] })) }
    })
    await this.real.crowd(txs)
  }

  entry(name: Name) {
    return this.world.of(name).node!.channels.all().at(-1)!
  }
  onchain(name: Name) {
    return onchainOf(this.entry(name).state)
  }
  /** What miners have that spends the channel's funding output. */
  spender(name: Name): MempoolEntry | undefined {
    const { funding } = channelOf(this.entry(name).state)!.commitments.active[0]!
    return this.world.chain.mempool.spender(outpointKey(funding))
  }

  async force(name: Name): Promise<void> {
    const { api } = this.world.of(name)
    void api.closeChannel(this.entry(name).meta.localId, { force: true }).catch(() => {})
    await this.world.settle()
  }

  /** A channel of alice's with bob that can be used. */
  async open(type: 'anchors' | 'static_remotekey', capacitySat: bigint, pushSat: bigint): Promise<void> {
    const opening = this.world.of('alice').api.openChannel({
      peer: nodeIdOf('bob'),
      capacitySat: sat(capacitySat),
      pushMsat: msat(pushSat * 1000n),
      type,
    })
    opening.catch(() => {})
    await this.world.settle()
    await opening
    await this.world.mine(6)
  }

  /** The feerates that a node believes in, sat per 1,000 weight units. */
  believe(name: Name, rates: { claim?: number; closing?: number; slow?: number }): void {
    const node = this.world.of(name).node!
    const before = node.context.bind(node)
    node.context = (entry) => {
      const context = before(entry)
      return { ...context, feerates: { ...context.feerates, ...rates } }
    }
  }

  /** Payments of 50,000 sat and more that their payees hold back: two each way. */
  async holdFour(): Promise<void> {
    const ways = [...BOTH, ...BOTH].map((from) => ({ from, to: from === 'alice' ? 'bob' : 'alice' }) as const)
    for (const [i, way] of ways.entries()) {
      await this.life.step({ tag: 'pay', ...way, amountMsat: 50_000_000 + i * 1_000_000, kind: 'hold' })
      await this.world.settle()
    }
  }
  async settleHeld(pick: number): Promise<void> {
    await this.life.step({ tag: 'decide', pick, settle: true })
    await this.world.settle()
  }

  /** All coins of a wallet become change of one payment to itself, without a block. */
  async spendAll(name: Name): Promise<void> {
    const { api } = this.world.of(name)
    const [coins, { address }] = [await api.utxos(), await api.newAddress()]
    await api.sendOnChain({ outputs: [{ address, amountSat: sat(10_000n) }], utxos: coins.map((c) => c.outpoint) })
    await this.world.settle()
  }

  /** Blocks that leave everything in the mempool. */
  async mineNothing(blocks = 1): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      this.world.chain.mineExactly([], NOBODY)
      await this.world.settle()
    }
  }

  /** A block for which only transactions count that pay this much, in sat per 1,000 weight units, with what they build on. */
  async mineAbove(floor: number): Promise<void> {
    const { mempool } = this.world.chain
    const chosen = new Set<MempoolEntry>()
    for (const entry of mempool.entries()) {
      const family = [...[...entry.parents].filter((p) => !chosen.has(p)), entry]
      const [fee, weight] = [family.reduce((s, e) => s + Number(e.fee), 0), family.reduce((s, e) => s + e.weight, 0)]
      if ((fee * 1000) / weight >= floor) for (const e of family) chosen.add(e)
    }
    this.world.chain.mineExactly(
      selectTransactions(chosen).map((e) => e.txid),
      NOBODY,
    )
    await this.world.settle()
  }

  /** How many transactions of a kind the real node had in its mempool, and how many of those are in its chain. */
  count(kind: Kind): { readonly seen: number; readonly mined: number } {
    const all = this.real.of(kind)
    return { seen: all.length, mined: all.filter((s) => s.mined).length }
  }
}
