import type { Txid } from '../../../src/base/ids.ts'
import type { ChannelView } from '../../../src/node/service.ts'
import { type RealNode, startBitcoind } from '../../e2e/realNode.ts'
import { freePorts } from '../../freePorts.ts'
import { type RpcFront, startRpcFront } from './rpcFront.ts'

export const inSat = (bitcoins: number): number => Math.round(bitcoins * 1e8)

/** What spends a channel's funding output in the mempool. */
export interface Spender {
  readonly txid: Txid
  readonly feeSat: number
  /** In sat. */
  readonly outputs: readonly number[]
}

/** A transaction in a block. */
export interface MinedTx {
  readonly txid: Txid
  readonly vin: readonly { readonly txid: Txid; readonly vout: number }[]
  /** In bitcoins. */
  readonly vout: readonly { readonly value: number }[]
  readonly fee: number
}

/** A real bitcoind, which says that it is Core 31, with a wallet that has coins. */
export class RealChain {
  /** http://user:password@host:port, for eclair. */
  readonly url: string
  /** The same, for nodes of ours. */
  readonly ourUrl: string
  /** Where it publishes blocks and transactions. */
  readonly zmqPort: number
  /** Of its answers to nodes of ours. */
  readonly changes: RpcFront['changes']
  /** What the mempool said of transactions of ours that it did not take. */
  readonly refusals: string[]
  readonly #bitcoind: RealNode
  readonly #fronts: readonly RpcFront[]
  #miner = ''

  private constructor(bitcoind: RealNode, { eclair, ours }: Record<'eclair' | 'ours', RpcFront>, zmqPort: number) {
    this.#bitcoind = bitcoind
    this.#fronts = [eclair, ours]
    this.url = eclair.url
    this.ourUrl = ours.url
    this.changes = ours.changes
    this.refusals = ours.refusals
    this.zmqPort = zmqPort
  }

  static async start(path: string): Promise<RealChain> {
    const [zmqPort] = (await freePorts(1)) as [number]
    const zmq = ['hashblock', 'rawtx'].map((topic) => `-zmqpub${topic}=tcp://127.0.0.1:${zmqPort}`)
    const bitcoind = await startBitcoind(path, [...zmq, '-fallbackfee=0.0001', '-addresstype=bech32'])
    const [eclair, ours] = [await startRpcFront(bitcoind.url), await startRpcFront(bitcoind.url)]
    // eclair refuses older ones, and forks that number their versions otherwise.
    eclair.changes.set('getnetworkinfo', (info) => ({ ...(info as object), version: 310_000 }))
    const chain = new RealChain(bitcoind, { eclair, ours }, zmqPort)
    await chain.rpc('createwallet', 'eclair')
    chain.#miner = await chain.rpc('getnewaddress')
    await chain.mine(101)
    return chain
  }

  async stop(): Promise<void> {
    await Promise.all(this.#fronts.map((f) => f.close()))
    await this.#bitcoind.stop()
  }

  rpc<T = unknown>(method: string, ...params: unknown[]): Promise<T> {
    return this.#bitcoind.transport.call(method, params, { timeoutMs: 60_000 }) as Promise<T>
  }

  async mine(blocks: number): Promise<void> {
    await this.rpc('generatetoaddress', blocks, this.#miner)
  }
  /** Mines blocks with nothing in them. */
  async mineNothing(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) await this.rpc('generateblock', this.#miner, [])
  }
  /**
   * Leaves the wallet the coins of blocks: what channels paid out may fit the next one so well that the wallet makes no change, for which
   * eclair refuses the fee.
   */
  async setSmallCoinsAside(): Promise<void> {
    const coins = await this.rpc<readonly { txid: Txid; vout: number; amount: number }[]>('listunspent', 0)
    const small = coins.filter((c) => c.amount < 1).map(({ txid, vout }) => ({ txid, vout }))
    await this.rpc('lockunspent', false, small)
  }
  async hasInMempool(txid: Txid): Promise<boolean> {
    return (await this.rpc<readonly Txid[]>('getrawmempool')).includes(txid)
  }

  /** What the transaction pays to the wallet, in sat. */
  async received(txid: Txid): Promise<bigint> {
    type Output = { readonly value: number; readonly scriptPubKey: { readonly address: string } }
    const { vout } = await this.rpc<{ vout: Output[] }>('getrawtransaction', txid, true)
    let received = 0
    for (const { value, scriptPubKey } of vout) {
      const { ismine } = await this.rpc<{ ismine: boolean }>('getaddressinfo', scriptPubKey.address)
      if (ismine) received += Math.round(value * 1e8)
    }
    return BigInt(received)
  }

  /** Transactions of the blocks above this height, but for those that pay the miner, in order. */
  async minedAbove(height: number): Promise<readonly MinedTx[]> {
    const found: MinedTx[] = []
    const tip = await this.rpc<number>('getblockcount')
    for (let h = height + 1; h <= tip; h++) {
      const { tx } = await this.rpc<{ tx: MinedTx[] }>('getblock', await this.rpc('getblockhash', h), 2)
      found.push(...tx.slice(1))
    }
    return found
  }

  async spender({ funding }: Pick<ChannelView, 'funding'>): Promise<Spender | null> {
    const asked = { txid: funding!.txid, vout: funding!.index }
    const [found] = await this.rpc<{ spendingtxid?: Txid }[]>('gettxspendingprevout', [asked])
    const txid = found?.spendingtxid
    if (!txid) return null
    // It may be replaced meanwhile.
    const entry = await this.rpc<{ fees: { base: number } }>('getmempoolentry', txid).catch(() => null)
    if (!entry) return this.spender({ funding })
    const { vout } = await this.rpc<{ vout: { value: number }[] }>('getrawtransaction', txid, true)
    return { txid, feeSat: inSat(entry.fees.base), outputs: vout.map((o) => inSat(o.value)) }
  }
}
