import { fromHex, toHex } from '../../src/base/bytes.ts'
import { type Outpoint, txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { encodeBlock } from '../../src/bitcoin/block.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import {
  decodeTransaction,
  encodeTransaction,
  txidOf,
  unsignedInput,
  withWitness,
} from '../../src/bitcoin/transaction.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { until } from '../../src/cli/demo/wait.ts'
import { type LdkPeer, startLdkPeer } from '../../test/interop/ldk.ts'
import type { Contender, ContenderOptions, Load, Outcome } from './types.ts'

const { signal } = new AbortController()
/** Anyone can spend it: OP_1. */
const ANYONE = Uint8Array.of(0x51)
const MATURITY = 100
const FEE_SAT = 1_000n
const SUBSIDY_SAT = 5_000_000_000n
const CONFIRMATIONS = 6

/** Two nodes of LDK-WASM, each in a process of its own, that keep nothing on disk; driven inside the payer's process. */
export async function startRival(options: ContenderOptions): Promise<Contender> {
  const chain = new RivalChain()
  const peers: LdkPeer[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(peers.map((peer) => peer.stop()))
    chain.close()
  }
  try {
    const [payer, payee] = await Promise.all([startLdkPeer({ alias: 'payer' }), startLdkPeer({ alias: 'payee' })])
    peers.push(payer, payee)
    chain.attach(peers)
    await chain.mine(options.channels + MATURITY)
    await payer.cmd('connect', { pubkey: payee.nodeId, port: payee.port })
    for (let i = 0; i < options.channels; i++) {
      await openChannel(chain, payer, payee, options.capacitySat)
      await chain.mine(CONFIRMATIONS) // a peer takes few channels that have not confirmed
    }
    const isReady = async (peer: LdkPeer) =>
      (await peer.cmd('list_channels')).filter((c) => c.usable).length === options.channels
    await until(
      'usable channels of LDK-WASM',
      async () => ((await isReady(payer)) && (await isReady(payee)) ? true : null),
      { signal },
    )
    await Promise.all(peers.map((peer) => peer.cmd('quiet')))
    return { name: 'LDK-WASM', run: (load) => run(payer, payee, load), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function openChannel(chain: RivalChain, payer: LdkPeer, payee: LdkPeer, capacitySat: number): Promise<void> {
  const { temp_channel_id } = await payer.cmd('open_channel', { pubkey: payee.nodeId, sat: capacitySat })
  const asked = await payer.waitFor('FundingGenerationReady', (e) => e.temp_channel_id === temp_channel_id)
  const funding = chain.payTo(fromHex(String(asked.script)), BigInt(capacitySat))
  const broadcast = new Promise<void>((resolve) => {
    payer.onBroadcast((tx) => {
      if (tx.txid === funding.txid) resolve()
    })
  })
  await payer.cmd('funding', { temp_channel_id, tx: funding.hex })
  await broadcast
  chain.submit(funding.hex)
}

async function run(payer: LdkPeer, payee: LdkPeer, load: Load): Promise<Outcome> {
  const { amountMsat, inFlight, payments } = load
  const { invoices } = await payee.cmd('create_invoices', {
    count: payments,
    msat: amountMsat,
    description: 'bench',
    expiry: 86_400,
  })
  const result = (await payer.cmd('bench_pay', {
    count: payments,
    in_flight: inFlight,
    msat: amountMsat,
    invoices,
  })) as unknown as BenchPay
  const isIdle = async (peer: LdkPeer) => (await peer.cmd('list_channels')).every((c) => c.in_htlcs + c.out_htlcs === 0)
  await until('LDK-WASM to be idle', async () => ((await isIdle(payer)) && (await isIdle(payee)) ? true : null), {
    signal,
  })
  return {
    succeeded: result.ok,
    failed: payments - result.ok,
    perSecond: result.per_s,
    p50Ms: result.p50,
    p99Ms: result.p99,
    payerCpuMsPerPayment: result.cpu_ms / payments,
    failures: result.fails,
  }
}

interface BenchPay {
  readonly ok: number
  readonly fails: Readonly<Record<string, number>>
  readonly per_s: number
  readonly p50: number | null
  readonly p99: number | null
  readonly cpu_ms: number
}

/** A chain in this process whose blocks are fed to both peers. */
class RivalChain {
  readonly #chain: EmbeddedChain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
  readonly #coins: Outpoint[] = []
  #peers: readonly LdkPeer[] = []

  attach(peers: readonly LdkPeer[]): void {
    this.#peers = peers
  }

  async mine(count: number): Promise<void> {
    for (const hash of this.#chain.mine(count, p2wsh(ANYONE))) {
      const node = this.#chain.state.node(hash)
      if (!node) throw new Error(`block ${hash} is gone`)
      this.#coins.push({ txid: node.txids[0]!, index: 0 })
      const block = toHex(encodeBlock(node.block))
      await Promise.all(this.#peers.map((peer) => peer.feedBlock(block, node.height)))
    }
  }

  /** A transaction that pays out of the oldest reward, which has to be mature. */
  payTo(scriptPubKey: Uint8Array, amountSat: bigint): { txid: string; hex: string } {
    const coin = this.#coins.shift()
    if (!coin) throw new Error('the faucet is dry')
    const outputs = [
      { amountSat: sat(amountSat), scriptPubKey },
      { amountSat: sat(SUBSIDY_SAT - amountSat - FEE_SAT), scriptPubKey: p2wsh(ANYONE) },
    ]
    const unsigned = { version: 2, inputs: [unsignedInput(coin)], outputs, lockTime: 0 }
    const tx = withWitness(unsigned, 0, [ANYONE])
    return { txid: txid(txidOf(tx)), hex: toHex(encodeTransaction(tx)) }
  }

  submit(hex: string): void {
    const accepted = this.#chain.submit(decodeTransaction(fromHex(hex)))
    if (!accepted.ok) throw new Error(`the chain refused a funding transaction: ${accepted.error.reason}`)
  }

  close(): void {
    this.#chain.close()
  }
}
