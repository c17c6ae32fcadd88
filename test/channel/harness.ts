import { toHex, u32be } from '../../src/base/bytes.ts'
import { type ChannelId, outpointKey, type PaymentHash, type Txid } from '../../src/base/ids.ts'
import { type Msat, msat, type Sat, sat } from '../../src/base/units.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import { SEQUENCE_FINAL, type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { acceptChannel, openChannel } from '../../src/channel/advance.ts'
import type {
  ChainEvent,
  ChannelCommand,
  ChannelPolicy,
  ChannelTypeName,
  Fault,
  OpenParams,
  RelayPolicy,
} from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { storedSecret } from '../../src/crypto/shachain.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import { fake, type Name, nodeIds, real, Side, secret } from './side.ts'

/*
 * Two channel cores and everything between them in memory: a network that can be cut, a store that every turn is written to and read
 * back from, a chain that confirms what is broadcast. Nothing here waits for anything.
 */

export const other = (who: Name): Name => (who === 'alice' ? 'bob' : 'alice')

export const RELAY: RelayPolicy = {
  feeBaseMsat: 1000,
  feeProportionalMillionths: 1,
  cltvExpiryDelta: 34,
  htlcMinimumMsat: msat(1),
  htlcMaximumMsat: msat(1_000_000_000),
}
export const POLICY: ChannelPolicy = {
  dustLimitSat: sat(354),
  maxHtlcValueInFlightMillionths: 1_000_000,
  htlcMinimumMsat: msat(1),
  toSelfDelay: 144,
  maxToSelfDelay: 2016,
  maxAcceptedHtlcs: 483,
  minimumDepth: 3,
  reserveMillionths: 10_000,
  minFundingSat: sat(20_000),
  maxFundingSat: sat(100_000_000),
  feerateTolerancePercent: { low: 25, high: 1000 },
  closeBeforeExpiry: 18,
  htlcFailDepth: 6,
  maxDustExposureMsat: msat(50_000_000),
}

// ---------------------------------------------------------------- both

export interface WorldOptions {
  readonly channelType?: ChannelTypeName
  readonly capacitySat?: Sat
  readonly pushMsat?: Msat
  readonly announce?: boolean
  readonly feeratePerKw?: number
  readonly realSignatures?: boolean
  readonly policy?: Partial<ChannelPolicy>
  readonly bobPolicy?: Partial<ChannelPolicy>
  /** Who pays for the channel. */
  readonly opener?: Name
  /** Both offer option_simple_close; otherwise they close by closing_signed. */
  readonly simpleClose?: boolean
}

/** What both offer in init. */
export const featuresOf = ({ simpleClose = false }: WorldOptions): Uint8Array =>
  simpleClose
    ? ourInitFeatures()
    : featuresFromBits(featureBits(ourInitFeatures()).filter((bit) => bit !== FEATURES.option_simple_close.bit + 1))

export const openParams = (opener: Name, options: WorldOptions = {}): OpenParams => ({
  temporaryChannelId: 'aa'.repeat(32) as ChannelId,
  remoteNodeId: nodeIds[other(opener)],
  capacitySat: options.capacitySat ?? sat(1_000_000),
  pushMsat: options.pushMsat ?? msat(0),
  announce: options.announce ?? false,
  channelType: options.channelType ?? 'anchors',
  feeratePerKw: options.feeratePerKw ?? 1000,
  fundingFeeratePerKw: 1000,
  theirFeatures: featuresOf(options),
  relay: RELAY,
  keyIndex: 0,
  requestId: 1,
})

export class World {
  readonly alice: Side
  readonly bob: Side
  readonly opener: Name
  readonly options: WorldOptions
  connected = true
  readonly mined = new Map<Txid, { readonly tx: Transaction; readonly height: number }>()

  constructor(options: WorldOptions = {}) {
    const signers = options.realSignatures ? real : fake
    this.options = options
    this.opener = options.opener ?? 'alice'
    const policy = { ...POLICY, ...options.policy }
    this.alice = new Side('alice', signers.alice, policy)
    this.bob = new Side('bob', signers.bob, { ...policy, ...options.bobPolicy })
  }

  side(who: Name): Side {
    return who === 'alice' ? this.alice : this.bob
  }
  get height(): number {
    return this.alice.ctx.blockHeight
  }
  get sides(): readonly [Side, Side] {
    return [this.alice, this.bob]
  }

  /** open_channel … funding_signed. */
  open(params: Partial<OpenParams> = {}): this {
    const funder = this.side(this.opener)
    funder.begin(openChannel({ ...openParams(this.opener, this.options), ...params }, funder.ctx))
    this.settle()
    return this
  }

  /** Makes the funding transaction that the wallet was asked for. */
  fund(): void {
    for (const side of this.sides) {
      const wanted = side.funding
      if (!wanted) continue
      side.funding = null
      side.step({ tag: 'funded', tx: fundingTx(wanted), outputIndex: 1 })
    }
  }

  /** Takes the oldest message of one side to the other; false when there is none. */
  deliver(from: Name, sign = true): boolean {
    const message = this.take(from)
    if (!message) return false
    this.receive(other(from), message, sign)
    return true
  }
  take(from: Name): ChannelMessage | undefined {
    return this.side(from).outbox.shift()
  }
  receive(who: Name, message: ChannelMessage, sign = true): void {
    const side = this.side(who)
    if (message.type === 'open_channel' && (side.state === null || side.state.tag === 'closed')) {
      const remote = nodeIds[other(who)]
      const params = { remoteNodeId: remote, theirFeatures: featuresOf(this.options), relay: RELAY, keyIndex: 0 }
      side.begin(acceptChannel(message, params, side.ctx))
    } else side.step({ tag: 'message', message }, sign)
    if (side.wantsDisconnect) this.disconnect()
  }

  /** Until nothing moves any more. */
  settle(): this {
    for (let moved = true, messages = 0; moved; messages++) {
      if (messages > 10_000) throw new Error('the two sides never come to rest')
      this.fund()
      moved = this.deliver('alice') || this.deliver('bob')
    }
    return this
  }

  disconnect(): void {
    this.connected = false
    for (const side of this.sides) {
      side.outbox = []
      side.wantsDisconnect = false
      side.step({ tag: 'disconnected' }, false)
      side.outbox = []
    }
  }
  connect(): void {
    this.connected = true
    for (const side of this.sides) side.step({ tag: 'connected', theirFeatures: featuresOf(this.options) }, false)
  }
  reconnect(): this {
    this.disconnect()
    this.connect()
    return this.settle()
  }

  /** Confirms everything that was broadcast, in one block, then the rest. */
  mine(blocks = 1): this {
    for (let i = 0; i < blocks; i++) this.#block()
    return this
  }

  #block(): void {
    const height = this.height + 1
    const spentBefore = new Set([...this.mined.values()].flatMap((m) => m.tx.inputs.map(outpointKey)))
    const fresh: Transaction[] = []
    for (const tx of this.sides.flatMap((s) => s.broadcasts)) {
      if (this.mined.has(txidOf(tx)) || tx.inputs.some((i) => spentBefore.has(outpointKey(i)))) continue
      for (const i of tx.inputs) spentBefore.add(outpointKey(i))
      this.mined.set(txidOf(tx), { tx, height })
      fresh.push(tx)
    }
    for (const side of this.sides) {
      side.broadcasts = []
      side.ctx = { ...side.ctx, blockHeight: height }
      const events: ChainEvent[] = []
      fresh.forEach((tx, i) => {
        events.push({ tag: 'confirmed', txid: txidOf(tx), tx, height, txIndex: i + 1 })
        for (const { txid, index } of tx.inputs) events.push({ tag: 'spent', outpoint: { txid, index }, tx, height })
      })
      events.push({ tag: 'block', height })
      for (const event of events) side.step({ tag: 'chain', event })
    }
  }

  /** Undoes the blocks above a height. */
  reorg(height: number): void {
    for (const [id, m] of this.mined) if (m.height > height) this.mined.delete(id)
    for (const side of this.sides) {
      side.ctx = { ...side.ctx, blockHeight: height }
      side.step({ tag: 'chain', event: { tag: 'reorg', height } })
    }
  }
}

export function fundingTx(wanted: { readonly amountSat: Sat; readonly scriptPubKey: Uint8Array }): Transaction {
  const witness = [new Uint8Array(71).fill(1), new Uint8Array(33).fill(2)]
  const change = { amountSat: sat(12_345), scriptPubKey: p2wpkhOfKey(crypto.publicKey(secret('alice', 3))) }
  return {
    version: 2,
    inputs: [
      { txid: 'cd'.repeat(32) as Txid, index: 0, scriptSig: new Uint8Array(0), sequence: SEQUENCE_FINAL, witness },
    ],
    outputs: [change, { amountSat: wanted.amountSat, scriptPubKey: wanted.scriptPubKey }],
    lockTime: 0,
  }
}

/** Two sides with a channel that is open for HTLCs. */
export function reachNormal(options: WorldOptions = {}): World {
  const world = new World(options).open()
  world.mine(options.policy?.minimumDepth ?? POLICY.minimumDepth)
  world.settle()
  if (world.alice.state?.tag !== 'normal' || world.bob.state?.tag !== 'normal') {
    throw new Error(`not open: ${world.alice.state?.tag}, ${world.bob.state?.tag}`)
  }
  return world
}

// ---------------------------------------------------------------- payments

export const preimageOf = (n: number): Uint8Array => crypto.sha256(u32be(n))
export const hashOf = (n: number): PaymentHash => toHex(crypto.sha256(preimageOf(n))) as PaymentHash

export const add = (
  n: number,
  amountMsat: number,
  more: Partial<Extract<ChannelCommand, { tag: 'addHtlc' }>> = {},
): ChannelCommand => ({
  tag: 'addHtlc',
  amountMsat: msat(amountMsat),
  paymentHash: hashOf(n),
  cltvExpiry: 600,
  onion: new Uint8Array(1366).fill(n & 0xff),
  origin: { tag: 'payment', paymentHash: hashOf(n), attempt: n },
  ...more,
})

// ---------------------------------------------------------------- what a test looks at

export const faultsOf = (side: Side): readonly Fault[] =>
  side.notices.flatMap((n) => (n.tag === 'fault' ? [n.fault] : []))
export const sentBy = (side: Side): readonly ChannelMessage['type'][] => side.outbox.map((m) => m.type)

/** The next message of one side, which must be of this type. */
export function expectNext<T extends ChannelMessage['type']>(
  w: World,
  from: Name,
  type: T,
): Extract<ChannelMessage, { type: T }> {
  const message = w.take(from)
  if (message?.type !== type) throw new Error(`expected ${type} from ${from}, got ${message?.type ?? 'nothing'}`)
  return message as Extract<ChannelMessage, { type: T }>
}

/** The peer's secret of a revoked commitment, as the side stored it. */
export const secretsOf = (side: Side, n: number): Uint8Array | null => storedSecret(side.channel.commitments.secrets, n)
