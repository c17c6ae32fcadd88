import { isDeepStrictEqual } from 'node:util'
import { concatBytes, toHex, u32be } from '../../src/base/bytes.ts'
import { type ChannelId, type NodeId, outpointKey, type PaymentHash, type Txid } from '../../src/base/ids.ts'
import { type Msat, msat, type Sat, sat } from '../../src/base/units.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import { SEQUENCE_FINAL, type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { acceptChannel, advance, openChannel } from '../../src/channel/advance.ts'
import { obscuringFactorOf } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { eachHtlc, type HtlcTable, htlcTable } from '../../src/channel/htlcTable.ts'
import { channelOps, loadChannel, REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { decodeRevoked } from '../../src/channel/revokedRecord.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import type { Channel, ChannelState, RevokedHtlc } from '../../src/channel/state.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import type {
  ChainEvent,
  ChannelCommand,
  ChannelContext,
  ChannelEvent,
  ChannelInput,
  ChannelPolicy,
  ChannelSigner,
  ChannelTypeName,
  Effect,
  Fault,
  HtlcEvent,
  OpenParams,
  RelayPolicy,
} from '../../src/channel/types.ts'
import { derivePublicKey } from '../../src/crypto/channelKeys.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { storedSecret } from '../../src/crypto/shachain.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { type ChannelMessage, decodeMessage, encodeMessage } from '../../src/wire/registry.ts'

/**
 * Two channel cores and everything between them in memory: a network that can be cut, a store that every turn is written to and read
 * back from, a chain that confirms what is broadcast. Nothing here waits for anything.
 */
export type Name = 'alice' | 'bob'
export const other = (who: Name): Name => (who === 'alice' ? 'bob' : 'alice')

const CHAIN_HASH = new Uint8Array(32).fill(6)
export const RELAY: RelayPolicy = {
  feeBaseMsat: 1000,
  feeProportionalMillionths: 1,
  cltvExpiryDelta: 34,
  htlcMinimumMsat: msat(1),
  htlcMaximumMsat: msat(1_000_000_000),
}
export const POLICY: ChannelPolicy = {
  dustLimitSat: sat(354),
  maxHtlcValueInFlightMsat: msat(5_000_000_000),
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

// ---------------------------------------------------------------- signers

const secret = (who: Name, n: number): Uint8Array => new Uint8Array(32).fill((who === 'alice' ? 0x11 : 0x22) + n)
/** Of the wallet that closed funds go to. */
export const walletSecret = (who: Name): Uint8Array => secret(who, 2)
export const nodeIds: Readonly<Record<Name, NodeId>> = {
  alice: toHex(crypto.publicKey(secret('alice', 0))) as NodeId,
  bob: toHex(crypto.publicKey(secret('bob', 0))) as NodeId,
}
const real: Readonly<Record<Name, ChannelSigner>> = {
  alice: secpSigner(secret('alice', 1), secret('alice', 0)),
  bob: secpSigner(secret('bob', 1), secret('bob', 0)),
}

/** A digest of key and message for a signature: as good as a real one where nobody forges. */
const fakeSignature = (key: Uint8Array, digest: Uint8Array): Uint8Array => {
  const half = crypto.sha256(concatBytes(key, digest))
  return concatBytes(half, half)
}
const isFakeSignature = (signature: Uint8Array, digest: Uint8Array, key: Uint8Array): boolean =>
  toHex(signature) === toHex(fakeSignature(key, digest))
const fakes = (who: Name): ChannelSigner => {
  const signer = real[who]
  const { basepoints } = signer
  let htlc: { point: string; key: Uint8Array } | null = null
  return {
    ...signer,
    signFunding: (digest) => fakeSignature(basepoints.fundingPubkey, digest),
    signHtlc: (digest, point) => {
      const id = toHex(point)
      if (htlc?.point !== id) htlc = { point: id, key: derivePublicKey(basepoints.htlcBasepoint, point) }
      return fakeSignature(htlc.key, digest)
    },
    signAnnouncement: (digest) => fakeSignature(crypto.publicKey(secret(who, 0)), digest),
    verify: isFakeSignature,
    verifyAll: (signatures, digests, key) => digests.findIndex((d, i) => !isFakeSignature(signatures[i]!, d, key)),
  }
}
const fake: Readonly<Record<Name, ChannelSigner>> = { alice: fakes('alice'), bob: fakes('bob') }

// ---------------------------------------------------------------- one side

const normalTable = (t: HtlcTable): HtlcTable => htlcTable([...eachHtlc(t)])
/** The state with its HTLC tables in the one form that a list of HTLCs has. */
export function canonical(state: ChannelState): ChannelState {
  const channel = channelOf(state)
  if (channel === null) return state
  const { commitments: c } = channel
  const plain: Channel = {
    ...channel,
    commitments: { ...c, outgoing: normalTable(c.outgoing), incoming: normalTable(c.incoming) },
  }
  return (
    'from' in state ? { ...state, from: { ...state.from, channel: plain } } : { ...state, channel: plain }
  ) as ChannelState
}

export class Side {
  readonly name: Name
  ctx: ChannelContext
  state: ChannelState | null = null
  /** What has been said; the world delivers it. */
  outbox: ChannelMessage[] = []
  readonly events: HtlcEvent[] = []
  readonly notices: ChannelEvent[] = []
  readonly replies: { readonly requestId: number; readonly result: 'done' | Fault }[] = []
  broadcasts: Transaction[] = []
  gossiped = 0
  released = 0
  wantsDisconnect = false
  funding: Extract<Effect, { tag: 'fund' }> | null = null
  /** The highest commitment of ours whose secret has left. */
  revealed = -1
  readonly records = new Map<string, Uint8Array>()
  /** Takes an effect away from the harness by answering true. */
  handler: (effect: Effect) => boolean = () => false
  /** Called when a turn is durable. */
  onFlush: () => void = () => undefined
  #stored: ChannelState | null = null
  #unsent: Effect[] = []

  constructor(name: Name, signer: ChannelSigner, policy: ChannelPolicy) {
    this.name = name
    this.ctx = {
      blockHeight: 100,
      chainHash: CHAIN_HASH,
      nodeId: nodeIds[name],
      feerates: { commitment: 1000, closing: 1000, claim: 1000 },
      signer,
      policy,
      sweepScriptPubKey: p2wpkhOfKey(crypto.publicKey(secret(name, 2))),
    }
  }

  get channel(): Channel {
    const channel = this.state && channelOf(this.state)
    if (!channel) throw new Error(`${this.name} has no channel`)
    return channel
  }
  /** The phase beneath the connection. */
  get phase(): ChannelState {
    return this.state && 'from' in this.state ? this.state.from : this.state!
  }

  begin(turn: { readonly state: ChannelState; readonly effects: readonly Effect[] }): void {
    this.state = turn.state
    this.#unsent.push(...turn.effects)
    this.flush()
  }

  /** Changes memory only; `flush` makes it durable and lets the effects out. */
  feed(input: ChannelInput): void {
    if (this.state === null) return
    const turn = advance(this.state, input, this.ctx)
    this.state = turn.state
    this.#unsent.push(...turn.effects)
  }

  /** One input in a turn of its own; signs what waits. */
  step(input: ChannelInput, sign = true): void {
    this.feed(input)
    if (sign) this.feed({ tag: 'sign' })
    this.flush()
  }
  command(command: ChannelCommand, sign = true): void {
    this.step({ tag: 'command', command }, sign)
  }

  flush(): void {
    if (this.state === null) return
    for (const op of channelOps(this.#stored, this.state)) {
      if (op.value) this.records.set(op.key, op.value)
      else this.records.delete(op.key)
    }
    if (this.records.size > 0) {
      this.#stored = this.state
      const back = canonical(this.load())
      if (!isDeepStrictEqual(back, canonical(this.state)))
        throw new Error(`${this.name}: ${this.state.tag} does not round-trip`)
    }
    this.onFlush()
    const effects = this.#unsent
    this.#unsent = []
    for (const effect of effects) if (!this.handler(effect)) this.#release(effect)
  }

  load(): ChannelState {
    const live = [...this.records].filter(([key]) => !key.startsWith(REVOKED_PREFIX))
    return loadChannel(live)
  }

  /** What was kept of HTLCs that have left the channel. */
  revokedRecords(): readonly RevokedHtlc[] {
    return [...this.records].flatMap(([key, value]) => (key.startsWith(REVOKED_PREFIX) ? [decodeRevoked(value)] : []))
  }

  /** The process dies: what was not flushed is lost. */
  crash(): void {
    this.#unsent = []
    this.outbox = []
    this.state = this.records.size > 0 ? this.load() : null
    this.#stored = this.state
    this.step({ tag: 'disconnected' }, false)
  }

  #release(effect: Effect): void {
    switch (effect.tag) {
      case 'send': {
        const message = decodeMessage(encodeMessage(effect.message)) as ChannelMessage
        if (message.type === 'revoke_and_ack') this.#checkRevocation()
        this.outbox.push(message)
        return
      }
      case 'broadcast':
        this.#checkBroadcast(effect.tx)
        this.broadcasts.push(effect.tx)
        return
      case 'relay':
        this.events.push(effect.event)
        return
      case 'notify':
        this.notices.push(effect.event)
        return
      case 'reply':
        this.replies.push(effect)
        return
      case 'fund':
        this.funding = effect
        return
      case 'releaseFunding':
        this.released++
        return
      case 'disconnect':
        this.wantsDisconnect = true
        return
      case 'gossip':
        this.gossiped++
        return
      case 'loadRevokedHtlcs':
        return
    }
  }

  /** The new commitment must be on disk before the old one is given up. */
  #checkRevocation(): void {
    const stored = channelOf(this.load())!
    const revoked = stored.commitments.local.number - 1
    if (revoked < this.revealed) throw new Error(`${this.name} revokes ${revoked} again after ${this.revealed}`)
    this.revealed = revoked
  }

  #checkBroadcast(tx: Transaction): void {
    const channel = this.state && channelOf(this.state)
    const funding = channel?.commitments.active[0]?.funding
    if (!funding || !tx.inputs.some((i) => outpointKey(i) === outpointKey(funding))) return
    const n = commitmentNumberOf(tx, obscuringFactorOf(channel.params))
    if (n !== null && n <= this.revealed) throw new Error(`${this.name} publishes its revoked commitment ${n}`)
  }
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
