import { equalBytes } from '../../src/base/bytes.ts'
import { type NodeId, type Outpoint, outpointKey, type Txid, txid } from '../../src/base/ids.ts'
import type { Sat } from '../../src/base/units.ts'
import { p2wpkhOfKey, p2wpkhScriptCode, p2wsh } from '../../src/bitcoin/script.ts'
import { derSignature, SIGHASH_ALL, sighashV0 } from '../../src/bitcoin/sighash.ts'
import { type Transaction, type TxOutput, txidOf, unsignedInput, withWitness } from '../../src/bitcoin/transaction.ts'
import { advance } from '../../src/channel/advance.ts'
import {
  buildLocal,
  buildRemote,
  buildRemoteSigned,
  obscuringFactorOf,
  signedLocal,
} from '../../src/channel/commitments.ts'
import { channelOf, committedIncoming } from '../../src/channel/describe.ts'
import { someHtlc } from '../../src/channel/htlcTable.ts'
import {
  buildSweep,
  type HtlcStage,
  isHtlcStage,
  type SweepInput,
  signHtlcTx,
} from '../../src/channel/onchain/claims.ts'
import { localOutputs, remoteOutputs } from '../../src/channel/onchain/outputs.ts'
import type { ClosedOutput } from '../../src/channel/onchain/types.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import { anchorScript } from '../../src/channel/tx/scripts.ts'
import { ANCHOR_SAT } from '../../src/channel/tx/weights.ts'
import type {
  ChannelCommand,
  ChannelContext,
  ChannelInput,
  ChannelPolicy,
  FaultCode,
  Turn,
} from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import type { Book } from './book.ts'
import type { Chain, GenesisCoin } from './chain.ts'
import { CHAIN_HASH, nodeIdOf, signerOf } from './keys.ts'

const SECRET = new Uint8Array(32).fill(0x66)
const KEY = crypto.publicKey(SECRET)
/** Of the attacker's wallet. */
const LOOT = p2wpkhOfKey(KEY)
const COIN: Sat = 600_000n as Sat
const COINS = 30
const COIN_TXID = 'e0'.repeat(32)
export const hostileCoins: readonly GenesisCoin[] = Array.from({ length: COINS }, (_, index) => ({
  outpoint: { txid: txid(COIN_TXID), index },
  output: { amountSat: COIN, scriptPubKey: LOOT },
}))
const SEQUENCE = 0xfffffffd

/** Adds the attacker's signature for its own coin at an input. */
function signCoin(tx: Transaction, index: number, amountSat: Sat): Transaction {
  const scriptCode = p2wpkhScriptCode(crypto.hash160(KEY))
  const bare = withWitness(tx, index, [])
  const digest = sighashV0(bare, { index, scriptCode, amountSat }, SIGHASH_ALL)
  return withWitness(tx, index, [derSignature(crypto.ecdsaSign(digest, SECRET), SIGHASH_ALL), KEY])
}

const UNEXCUSED: readonly FaultCode[] = ['BAD_SIGNATURE', 'BAD_REVOCATION', 'HTLC_LIMIT', 'TOO_MANY_HTLCS']

/** An output that the attacker can take now, and how. */
export interface Prey {
  readonly output: ClosedOutput
  readonly preimage: Uint8Array | null
}

/**
 * A peer that follows the protocol when it talks, since anything else only ends the channel, and forgets nothing: every state of its
 * own that it ever had is kept, and each of them can be published and claimed from.
 */
export class Hostile {
  /** Whose keys. */
  readonly owner: string
  readonly nodeId: NodeId
  /** What it was told and is never right, whatever it did itself. */
  readonly complaints = new Set<string>()
  state: ChannelState | null = null
  archive: Channel[] = []
  outbox: ChannelMessage[] = []
  height = 0
  feerate = 1000
  /** What its own second-stage transactions made. */
  readonly #stages = new Map<Txid, readonly ClosedOutput[]>()

  readonly policy: ChannelPolicy

  /** `node`: who may have several channels. */
  constructor(who: { readonly owner: string; readonly node: string; readonly policy: ChannelPolicy }) {
    this.owner = who.owner
    this.nodeId = nodeIdOf(who.node)
    this.policy = who.policy
  }

  get ctx(): ChannelContext {
    const f = this.feerate
    return {
      blockHeight: this.height,
      chainHash: CHAIN_HASH,
      nodeId: this.nodeId,
      feerates: { commitment: f, closing: f, claim: f },
      signer: signerOf(this.owner),
      policy: { ...this.policy, feerateTolerancePercent: { low: 1, high: 100_000 } },
      sweepScriptPubKey: LOOT,
    }
  }

  begin(turn: Turn): void {
    this.state = turn.state
    this.#release(turn)
  }
  step(input: ChannelInput, sign = true): void {
    if (this.state === null) return
    this.begin(advance(this.state, input, this.ctx))
    if (sign) this.begin(advance(this.state, { tag: 'sign' }, this.ctx))
  }
  command(command: ChannelCommand): void {
    this.step({ tag: 'command', command })
  }
  connected(): void {
    this.step({ tag: 'connected', theirFeatures: ourInitFeatures() }, false)
  }
  disconnected(): void {
    this.outbox = []
    this.step({ tag: 'disconnected' }, false)
    this.outbox = []
  }
  isOpen(): boolean {
    const tag = this.state?.tag
    return tag !== undefined && tag !== 'closing' && tag !== 'closed' && tag !== 'waiting-for-peer'
  }
  /** It speaks from here on as if the channel stood where it once did. While it is not connected. */
  pretend(wanted: (channel: Channel) => boolean): void {
    const { state } = this
    const channel = this.archive.findLast(wanted)
    if (!channel || state?.tag !== 'offline') return
    this.state = { ...state.from, channel } as ChannelState
    this.disconnected()
  }
  #release({ effects }: Turn): void {
    for (const effect of effects) {
      if (effect.tag === 'send') this.outbox.push(effect.message)
      if (effect.tag !== 'notify' || effect.event.tag !== 'fault') continue
      const { code, detail } = effect.event.fault
      if (UNEXCUSED.includes(code)) this.complaints.add(`${code}: ${detail}`)
    }
    const channel = this.state && channelOf(this.state)
    if (!channel || this.state?.tag === 'closing') return
    const last = this.archive.at(-1)
    if (last?.commitments !== channel.commitments) this.archive.push(channel)
  }

  /** It offered an HTLC whose time is over: what it wants back. */
  hasExpired(): boolean {
    const channel = this.state && channelOf(this.state)
    return channel !== null && someHtlc(channel.commitments.outgoing, (h) => h.add.cltvExpiry <= this.height)
  }

  incoming() {
    return this.state ? committedIncoming(this.state) : []
  }

  // -------------------------------------------------------------- what it can publish

  /** All of its own commitments, oldest first. */
  commitments(): readonly Channel[] {
    const byNumber = new Map<number, Channel>()
    for (const c of this.archive)
      if (c.commitments.active[0]!.signature.length > 0) byNumber.set(c.commitments.local.number, c)
    return [...byNumber.values()]
  }
  signed(channel: Channel): Transaction {
    return signedLocal(channel, channel.commitments.active[0]!, this.ctx)
  }
  newest(): Transaction {
    return this.signed(this.commitments().at(-1)!)
  }
  /** Up to which commitment of the other side it has the secrets; -1 for none. */
  punishes(): number {
    return this.archive.at(-1)!.commitments.remote.number - 1
  }
  get funding(): Outpoint {
    return this.archive[0]!.commitments.active[0]!.funding
  }

  /** What of a commitment could be the attacker's: its own one of any age, or the honest side's. */
  #look(tx: Transaction): readonly ClosedOutput[] | null {
    const known = this.#looked.get(tx)
    if (known !== undefined) return known
    const found = this.#recognise(tx, txidOf(tx))
    this.#looked.set(tx, found)
    return found
  }
  readonly #looked = new WeakMap<Transaction, readonly ClosedOutput[] | null>()
  #recognise(tx: Transaction, id: Txid): readonly ClosedOutput[] | null {
    const n = commitmentNumberOf(tx, obscuringFactorOf(this.archive[0]!.params))
    for (const channel of [...this.archive].reverse()) {
      const { commitments } = channel
      const commitment = commitments.active[0]!
      if (commitments.local.number === n) {
        const built = buildLocal(channel, commitment, signerOf(this.owner))
        if (built.txid === id) return localOutputs(built, commitment)
      }
      if (commitments.remote.number === n) {
        const built = buildRemote(channel, commitment)
        if (built.txid === id) return remoteOutputs(built)
      }
      if (commitments.remoteSigned?.number === n) {
        const built = buildRemoteSigned(channel, commitment)!
        if (built.txid === id) return remoteOutputs(built)
      }
    }
    return null
  }

  /** A second-stage transaction that it made: its outputs are its own after the delay. */
  #noteStages(tx: Transaction, stages: readonly { readonly stage: HtlcStage; readonly index: number }[]): void {
    const id = txidOf(tx)
    this.#stages.set(
      id,
      stages.map(({ stage, index }) => ({
        ...tx.outputs[index]!,
        outpoint: { txid: id, index },
        spend: {
          tag: 'delayed',
          witnessScript: stage.delayedScript,
          delay: stage.delay,
          commitmentPoint: stage.commitmentPoint,
        },
        htlc: null,
        since: null,
        spent: null,
      })),
    )
  }

  /** Outputs that it can take in the next block. `closing`: what spends the channel, in a block or in the mempool. */
  prey(chain: Chain, book: Book, closing: Transaction | null): readonly Prey[] {
    const own = closing ? this.#look(closing) : null
    const prey: Prey[] = []
    for (const output of [...(own ?? []), ...[...this.#stages.values()].flat()]) {
      const coin = chain.coins().get(outpointKey(output.outpoint))
      if (!coin) continue
      const { spend, htlc } = output
      const next = chain.height + 1
      const preimage = htlc ? (book.payments.get(htlc.paymentHash)?.preimage ?? null) : null
      switch (spend.tag) {
        case 'delayed':
          if (next >= coin.height + spend.delay) prey.push({ output, preimage: null })
          break
        case 'claim-timeout':
        case 'htlc-timeout':
          if (next > spend.cltvExpiry) prey.push({ output, preimage: null })
          break
        case 'claim-preimage':
        case 'htlc-success': {
          const purpose = htlc && book.payments.get(htlc.paymentHash)?.purpose
          if (preimage && (purpose === 'to-peer' || purpose === 'forward')) prey.push({ output, preimage })
          break
        }
        default:
          prey.push({ output, preimage: null })
      }
    }
    return prey
  }

  /**
   * Transactions that take these outputs. `together`: as few as possible, HTLC transactions of one lock time in one, behind a coin of
   * its own so that input and output numbers differ from those of the commitment.
   */
  take(prey: readonly Prey[], { together, coins, feerate }: TakeOptions): readonly Transaction[] {
    const txs: Transaction[] = []
    const direct: SweepInput[] = []
    const stages = new Map<string, { stage: HtlcStage; preimage: Uint8Array | null }[]>()
    for (const { output, preimage } of prey) {
      const { spend, outpoint, amountSat } = output
      if (isHtlcStage(spend)) {
        const used = spend.tag === 'htlc-success' ? preimage : null
        const alone = !together || spend.channelType !== 'anchors'
        const key = alone ? outpointKey(outpoint) : `${spend.tx.lockTime}`
        stages.set(key, [...(stages.get(key) ?? []), { stage: spend, preimage: used }])
      } else direct.push({ outpoint, amountSat, spend, preimage: spend.tag === 'claim-preimage' ? preimage : null })
    }
    const options = { scriptPubKey: LOOT, feeratePerKw: feerate }
    for (const group of together ? [direct] : direct.map((d) => [d])) {
      const swept = group.length > 0 ? buildSweep(group, options, signerOf(this.owner)) : null
      if (swept) txs.push(swept.tx)
    }
    for (const group of stages.values()) txs.push(this.#stageTx(group, coins, BigInt(feerate)))
    return txs
  }

  #stageTx(
    group: readonly { readonly stage: HtlcStage; readonly preimage: Uint8Array | null }[],
    coins: Purse,
    feerate: bigint,
  ): Transaction {
    const { stage } = group[0]!
    const coin = stage.channelType === 'anchors' ? coins.next() : null
    const fee = feerate > 1_500n ? feerate : 1_500n
    const change: TxOutput[] = coin ? [{ amountSat: (coin.amountSat - fee) as Sat, scriptPubKey: LOOT }] : []
    const at = change.length
    let tx: Transaction = {
      version: 2,
      inputs: [...(coin ? [unsignedInput(coin.outpoint, SEQUENCE)] : []), ...group.map((g) => g.stage.tx.inputs[0]!)],
      outputs: [...change, ...group.map((g) => g.stage.tx.outputs[0]!)],
      lockTime: stage.tx.lockTime,
    }
    group.forEach((g) => {
      tx = signHtlcTx(tx, g.stage, g.preimage, signerOf(this.owner))
    })
    if (coin) tx = signCoin(tx, 0, coin.amountSat)
    this.#noteStages(
      tx,
      group.map((g, i) => ({ stage: g.stage, index: at + i })),
    )
    return tx
  }

  /**
   * What makes a transaction hard to replace, parents first: a large child that pays little by its size (`times` the floor), but more in
   * all than most replacements can; or with `times` 0 as many small ones in a row as the mempool takes.
   */
  pin(parent: Transaction, coins: Purse, times: number): readonly Transaction[] {
    const child = this.#child(parent, coins, times === 0 ? { outputs: 0, times: 2 } : { outputs: PIN_OUTPUTS, times })
    if (!child) return []
    const row = [child]
    for (let last = child; times === 0 && row.length < MOST_DESCENDANTS; row.push(last)) last = spendOn(last)
    return row
  }

  /** Of the anchor, or of what is the attacker's own, with a coin. */
  #child(
    parent: Transaction,
    coins: Purse,
    { outputs, times }: { readonly outputs: number; readonly times: number },
  ): Transaction | null {
    const id = txidOf(parent)
    const own = parent.outputs.findIndex((o) => equalBytes(o.scriptPubKey, LOOT))
    const anchor = anchorScript(signerOf(this.owner).basepoints.fundingPubkey)
    const anchorAt = own >= 0 ? -1 : parent.outputs.findIndex((o) => equalBytes(o.scriptPubKey, p2wsh(anchor)))
    const coin = own < 0 && anchorAt < 0 ? null : coins.next()
    if (!coin) return null
    const index = own >= 0 ? own : anchorAt
    const junk = Array.from({ length: outputs }, () => ({ amountSat: 300n as Sat, scriptPubKey: LOOT }))
    const worth = coin.amountSat + parent.outputs[index]!.amountSat
    const fee = BigInt((outputs * 31 + 250) * times)
    const left = worth - fee - 300n * BigInt(outputs)
    if (left < 300n) return null
    let tx: Transaction = {
      version: 2,
      inputs: [unsignedInput({ txid: id, index }, SEQUENCE), unsignedInput(coin.outpoint, SEQUENCE)],
      outputs: [...junk, { amountSat: left as Sat, scriptPubKey: LOOT }],
      lockTime: 0,
    }
    tx = signCoin(tx, 1, coin.amountSat)
    if (own >= 0) return signCoin(tx, 0, parent.outputs[index]!.amountSat)
    const bare = withWitness(tx, 0, [])
    const digest = sighashV0(bare, { index: 0, scriptCode: anchor, amountSat: ANCHOR_SAT }, SIGHASH_ALL)
    return withWitness(tx, 0, [derSignature(signerOf(this.owner).signFunding(digest), SIGHASH_ALL), anchor])
  }
}

/** Beside the parent itself. */
const MOST_DESCENDANTS = 24
/** Spends the only output of a transaction of its own. */
function spendOn(tx: Transaction): Transaction {
  const { amountSat } = tx.outputs[0]!
  const next: Transaction = {
    version: 2,
    inputs: [unsignedInput({ txid: txidOf(tx), index: 0 }, SEQUENCE)],
    outputs: [{ amountSat: (amountSat - 150n) as Sat, scriptPubKey: LOOT }],
    lockTime: 0,
  }
  return signCoin(next, 0, amountSat)
}
/** Of 31 vbytes each: at the floor of 1 sat per vbyte the child pays this much that a replacement has to beat. */
const PIN_OUTPUTS = 400

interface TakeOptions {
  readonly together: boolean
  readonly coins: Purse
  /** Of sweeps, sat per 1,000 weight units; an HTLC transaction pays as many sat in all, or 1,500. */
  readonly feerate: number
}

/** The attacker's coins, each used once. */
export class Purse {
  #next = 0
  next(): { readonly outpoint: Outpoint; readonly amountSat: Sat } | null {
    const coin = hostileCoins[this.#next]
    if (!coin) return null
    this.#next++
    return { outpoint: coin.outpoint, amountSat: COIN }
  }
}
