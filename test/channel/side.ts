import { isDeepStrictEqual } from 'node:util'
import { concatBytes, toHex } from '../../src/base/bytes.ts'
import { type NodeId, outpointKey } from '../../src/base/ids.ts'
import { p2wpkhOfKey } from '../../src/bitcoin/script.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { advance } from '../../src/channel/advance.ts'
import { obscuringFactorOf } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { RevokedHtlc } from '../../src/channel/htlc.ts'
import { eachHtlc, type HtlcTable, htlcTable } from '../../src/channel/htlcTable.ts'
import { channelOps, loadChannel, REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { decodeRevoked } from '../../src/channel/revokedRecord.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import type { Channel, ChannelState } from '../../src/channel/state.ts'
import { commitmentNumberOf } from '../../src/channel/tx/commitment.ts'
import type {
  ChannelCommand,
  ChannelContext,
  ChannelEvent,
  ChannelInput,
  ChannelPolicy,
  ChannelSigner,
  Effect,
  Fault,
  HtlcEvent,
} from '../../src/channel/types.ts'
import { derivePublicKey } from '../../src/crypto/channelKeys.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { type ChannelMessage, decodeMessage, encodeMessage } from '../../src/wire/registry.ts'

/* One of two channel cores, with a store that every turn is written to and read back from. */

export type Name = 'alice' | 'bob'

const CHAIN_HASH = new Uint8Array(32).fill(6)

// ---------------------------------------------------------------- signers

/** n: 0 the node's, 1 the channel's, 2 the wallet's, 3 another's. */
export const secret = (who: Name, n: number): Uint8Array => new Uint8Array(32).fill((who === 'alice' ? 0x11 : 0x22) + n)
/** Of the wallet that closed funds go to. */
export const walletSecret = (who: Name): Uint8Array => secret(who, 2)
export const nodeIds: Readonly<Record<Name, NodeId>> = {
  alice: toHex(crypto.publicKey(secret('alice', 0))) as NodeId,
  bob: toHex(crypto.publicKey(secret('bob', 0))) as NodeId,
}
export const real: Readonly<Record<Name, ChannelSigner>> = {
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
export const fake: Readonly<Record<Name, ChannelSigner>> = { alice: fakes('alice'), bob: fakes('bob') }

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
