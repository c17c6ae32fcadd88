import { type Outpoint, outpointKey, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wpkhOfKey, p2wpkhScriptCode } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import { onchainOf, summary, watches } from '../../src/channel/describe.ts'
import { signHtlcTx } from '../../src/channel/onchain/claims.ts'
import type { OnchainState } from '../../src/channel/onchain/types.ts'
import { stoodIn } from '../../src/channel/revokedRecord.ts'
import type { Effect } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import type { World } from './harness.ts'
import { TestChain } from './onchain/chain.ts'
import { type Name, type Side, walletSecret } from './side.ts'

const COINS = 60
const COIN: Sat = 50_000n as Sat

/** The end of a channel's life on a chain that runs every script: wallets that add fees, watchers that tell of spends. */
export class Ending {
  readonly w: World
  readonly chain: TestChain
  /** What the chain refused, other than races that the other side won. */
  readonly refused: string[] = []
  readonly #paid: Record<Name, Set<string>> = { alice: new Set(), bob: new Set() }
  readonly #coins: Record<Name, Outpoint[]> = { alice: [], bob: [] }
  readonly #withFees = new Map<string, Transaction>()

  constructor(w: World) {
    this.w = w
    const { params, commitments } = w.alice.channel
    const { funding, capacitySat } = commitments.active[0]!
    const scriptPubKey = fundingScriptOf(params.local, params.remote)
    const coins = [{ outpoint: funding, output: { amountSat: capacitySat, scriptPubKey } }]
    for (const side of w.sides) {
      for (let index = 0; index < COINS; index++) {
        const outpoint = { txid: txid((side.name === 'alice' ? 'a1' : 'b1').repeat(32)), index }
        this.#coins[side.name].push(outpoint)
        coins.push({ outpoint, output: { amountSat: COIN, scriptPubKey: side.ctx.sweepScriptPubKey } })
      }
    }
    this.chain = new TestChain(w.height, coins)
    for (const side of w.sides) {
      side.handler = (effect) => this.#handle(side, effect)
      for (const tx of side.broadcasts.splice(0)) this.broadcast(side.name, tx)
    }
  }

  broadcast(who: Name, tx: Transaction): void {
    const reason = this.chain.broadcast(tx)
    if (reason === null) this.#paid[who].add(txidOf(tx))
    else if (reason !== 'missing inputs' && reason !== 'insufficient fee to replace')
      this.refused.push(`${who}: ${reason}`)
  }

  #handle(side: Side, effect: Effect): boolean {
    if (effect.tag === 'broadcast') {
      this.broadcast(side.name, effect.addFees === undefined ? effect.tx : this.#addFees(side, effect))
      return true
    }
    if (effect.tag === 'loadRevokedHtlcs') {
      const { commitmentNumber } = effect
      const htlcs = side.revokedRecords().filter((r) => stoodIn(r, commitmentNumber))
      side.step({ tag: 'revokedHtlcs', commitmentNumber, htlcs })
      return true
    }
    return false
  }

  /** One wallet input and its change, once for each HTLC transaction. */
  #addFees(side: Side, { tx, signAgain }: Effect & { tag: 'broadcast' }): Transaction {
    const key = `${side.name} ${outpointKey(tx.inputs[0]!)}`
    const known = this.#withFees.get(key)
    if (known) return known
    const coin = this.#coins[side.name].pop()!
    const secret = walletSecret(side.name)
    const publicKey = crypto.publicKey(secret)
    const unsigned: Transaction = {
      ...tx,
      inputs: [...tx.inputs, unsignedInput(coin, 0xfffffffd)],
      outputs: [...tx.outputs, { amountSat: (COIN - 2_000n) as Sat, scriptPubKey: p2wpkhOfKey(publicKey) }],
    }
    const scriptCode = p2wpkhScriptCode(crypto.hash160(publicKey))
    const digest = sighashV0(unsigned, { index: 1, scriptCode, amountSat: COIN }, SIGHASH_ALL)
    const witness = [derSignature(crypto.ecdsaSign(digest, secret), SIGHASH_ALL), publicKey]
    const funded = signHtlcTx(withWitness(unsigned, 1, witness), signAgain!.stage, signAgain!.preimage, side.ctx.signer)
    this.#withFees.set(key, funded)
    return funded
  }

  mine(): void {
    const txs = this.chain.mine()
    const { height } = this.chain
    for (const side of this.w.sides) {
      // Low, so that no output is waited for in the hope of lower fees.
      side.ctx = { ...side.ctx, blockHeight: height, feerates: { ...side.ctx.feerates, claim: 300 } }
      for (const tx of txs) {
        for (const { txid, index } of tx.inputs) {
          const key = outpointKey({ txid, index })
          const watched = watches(side.state!).some((x) => x.tag === 'spend' && outpointKey(x.outpoint) === key)
          if (watched) side.step({ tag: 'chain', event: { tag: 'spent', outpoint: { txid, index }, tx, height } })
        }
      }
      side.step({ tag: 'chain', event: { tag: 'block', height } })
    }
  }

  /** Until both sides have nothing left to do. */
  finish(limit = 300): void {
    const open = () => this.w.sides.some((s) => s.state!.tag !== 'closed')
    for (let i = 0; i < limit && open(); i++) this.mine()
    if (open()) {
      const why = this.w.sides.map((s) => `${s.name}: ${summary(s.state!, s.ctx).waitsFor}`)
      throw new Error(`not resolved after ${limit} blocks; ${why.join(', ')}`)
    }
  }

  /** What a side has beyond its coins, the fees of its claims added back, the closing transaction's left out. */
  won(who: Name): bigint {
    const side = this.w.side(who)
    const { closing } = this.onchain(who)
    let fees = 0n
    for (const [id, fee] of this.chain.fees) if (this.#paid[who].has(id) && id !== closing.txid) fees += fee
    return this.chain.balance(side.ctx.sweepScriptPubKey) + fees - BigInt(COINS) * COIN
  }

  onchain(who: Name): OnchainState {
    const state = this.w.side(who).state!
    const onchain = onchainOf(state)
    if (!onchain) throw new Error(`${who} is not on chain: ${state.tag}`)
    return onchain
  }
}
