import { type NodeId, type Outpoint, outpointKey, type Txid } from '../../src/base/ids.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
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
import { buildSweep, type HtlcStage, isHtlcStage, type SweepInput } from '../../src/channel/onchain/claims.ts'
import { localOutputs, remoteOutputs } from '../../src/channel/onchain/outputs.ts'
import type { ClosedOutput } from '../../src/channel/onchain/types.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import type {
  ChannelCommand,
  ChannelContext,
  ChannelInput,
  ChannelPolicy,
  ChannelSigner,
  FaultCode,
  Turn,
} from '../../src/channel/types.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import type { Book } from './book.ts'
import type { Chain } from './chain.ts'
import { CHAIN_HASH, nodeIdOf } from './keys.ts'
import { LOOT, type Purse } from './loot.ts'
import { type Part, stageTx } from './stages.ts'

const UNEXCUSED: readonly FaultCode[] = ['BAD_SIGNATURE', 'BAD_REVOCATION', 'HTLC_LIMIT', 'TOO_MANY_HTLCS']

/** An output that the attacker can take now, and how. */
export interface Prey {
  readonly output: ClosedOutput
  readonly preimage: Uint8Array | null
}

interface HostileOptions {
  readonly owner: string
  /** Who may have several channels. */
  readonly node: string
  readonly policy: ChannelPolicy
  readonly signer: ChannelSigner
}

/**
 * A peer that follows the protocol when it talks, since anything else only ends the channel, and forgets nothing: every state of its
 * own that it ever had is kept, and each of them can be published and claimed from.
 */
export class Hostile {
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
  readonly signer: ChannelSigner

  constructor({ owner, node, policy, signer }: HostileOptions) {
    this.owner = owner
    this.nodeId = nodeIdOf(node)
    this.policy = policy
    this.signer = signer
  }

  get ctx(): ChannelContext {
    const f = this.feerate
    return {
      blockHeight: this.height,
      chainHash: CHAIN_HASH,
      nodeId: this.nodeId,
      feerates: { commitment: f, closing: f, claim: f },
      signer: this.signer,
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
        const built = buildLocal(channel, commitment, this.signer)
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

  /** A second-stage transaction that it made: this output of it is its own after the delay. */
  noteStage(tx: Transaction, stage: HtlcStage, index: number): void {
    const id = txidOf(tx)
    const made: ClosedOutput = {
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
    }
    this.#stages.set(id, [...(this.#stages.get(id) ?? []).filter((o) => o.outpoint.index !== index), made])
  }

  /** Outputs that it can take in the next block. `closing`: what spends the channel, in a block, in the mempool or (`isNext`) in that block. */
  prey(chain: Chain, book: Book, closing: Transaction | null, isNext = false): readonly Prey[] {
    const own = closing ? this.#look(closing) : null
    const prey: Prey[] = []
    for (const output of [...(own ?? []), ...[...this.#stages.values()].flat()]) {
      const next = chain.height + 1
      const coin = chain.coins().get(outpointKey(output.outpoint)) ?? (isNext ? { height: next } : undefined)
      if (!coin) continue
      const { spend, htlc } = output
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
    const stages = new Map<string, Part[]>()
    for (const { output, preimage } of prey) {
      const { spend, outpoint, amountSat } = output
      if (isHtlcStage(spend)) {
        const alone = !together || spend.channelType !== 'anchors'
        const key = alone ? outpointKey(outpoint) : `${spend.tx.lockTime}`
        stages.set(key, [...(stages.get(key) ?? []), this.part(spend, preimage)])
      } else direct.push({ outpoint, amountSat, spend, preimage: spend.tag === 'claim-preimage' ? preimage : null })
    }
    const options = { scriptPubKey: LOOT, feeratePerKw: feerate }
    for (const group of together ? [direct] : direct.map((d) => [d])) {
      const swept = group.length > 0 ? buildSweep(group, options, this.signer) : null
      if (swept) txs.push(swept.tx)
    }
    const fee = BigInt(Math.max(feerate, 1_500))
    for (const parts of stages.values()) txs.push(stageTx(parts, { coins, fee }))
    return txs
  }

  part(stage: HtlcStage, preimage: Uint8Array | null): Part {
    return { from: this, stage, preimage: stage.tag === 'htlc-success' ? preimage : null }
  }
}

interface TakeOptions {
  readonly together: boolean
  readonly coins: Purse
  /** Of sweeps, sat per 1,000 weight units; an HTLC transaction pays as many sat in all, or 1,500. */
  readonly feerate: number
}
