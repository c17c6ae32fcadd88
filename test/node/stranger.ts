import { fromHex, toHex, u32be } from '../../src/base/bytes.ts'
import { nodeId as asNodeId, type ChannelId, channelIdOf, type NodeId, type Outpoint } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { chainHash } from '../../src/bitcoin/networks.ts'
import { advance, openChannel } from '../../src/channel/advance.ts'
import { buildRemote } from '../../src/channel/commitments.ts'
import { secpSigner } from '../../src/channel/signer.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import type { ChannelContext, Effect, OpenParams, Turn } from '../../src/channel/types.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { noiseKey } from '../../src/noise/handshake.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import { type ChannelMessage, encodeMessage, isChannelMessage, type Message } from '../../src/wire/registry.ts'
import { fundingTx, openParams, POLICY } from '../channel/harness.ts'
import type { World } from './world.ts'

/** Somebody whom nobody knows, with a key like any other: opens channels with a core of its own and funds none of them. */
export class Stranger {
  readonly nodeId: NodeId
  readonly world: World
  /** What it heard. */
  readonly heard: Message[] = []
  /** Asked for a funding transaction, it makes none: `claim` names one. */
  hesitates = false
  readonly #secret: Uint8Array
  #epoch = 0
  #target: NodeId | null = null
  #opening: { state: ChannelState; readonly ctx: ChannelContext } | null = null
  #wanted: Extract<Effect, { tag: 'fund' }> | null = null
  #count = 0

  constructor(world: World, n: number) {
    this.world = world
    this.#secret = crypto.sha256(u32be(n))
    const key = noiseKey(this.#secret)
    this.nodeId = asNodeId(toHex(key.publicKey))
    world.wire.factory({
      key,
      features: ourInitFeatures(),
      chainHash: chainHash('regtest'),
      callbacks: {
        onConnected: (_, session) => {
          this.#epoch = session.epoch
        },
        onMessages: (_from, _epoch, messages) => {
          for (const message of messages) this.#hear(message)
        },
        onDisconnected: () => {
          this.#epoch = 0
        },
      },
    })
  }

  get connected(): boolean {
    return this.#epoch !== 0
  }
  async connect(to: NodeId): Promise<void> {
    this.#target = to
    this.world.wire.connect(this.nodeId, to)
    await this.world.settle()
  }
  async leave(): Promise<void> {
    this.world.wire.cut(this.nodeId, this.#target!)
    await this.world.settle()
  }
  say(...messages: readonly Message[]): void {
    this.world.wire.send(this.nodeId, {
      to: this.#target!,
      epoch: this.#epoch,
      messages: messages.map((m) => encodeMessage(m)),
    })
  }

  /** open_channel … funding_signed. @returns the id of the channel that will never be; null when it was refused */
  async open(change: Partial<OpenParams> = {}): Promise<ChannelId | null> {
    const n = this.#count++
    const seed = crypto.sha256(Uint8Array.of(...this.#secret, n & 0xff, n >> 8))
    const ctx: ChannelContext = {
      blockHeight: 100,
      chainHash: chainHash('regtest'),
      nodeId: this.nodeId,
      feerates: { commitment: 1000, closing: 1000, claim: 1000 },
      signer: secpSigner(seed, this.#secret),
      policy: { ...POLICY, minFundingSat: sat(1) },
      sweepScriptPubKey: fromHex(`0014${'00'.repeat(20)}`),
    }
    const params = {
      ...openParams('alice'),
      temporaryChannelId: toHex(crypto.sha256(seed)) as ChannelId,
      remoteNodeId: this.#target!,
      capacitySat: sat(100_000),
      pushMsat: msat(0),
      ...change,
    }
    const turn = openChannel(params, ctx)
    this.#opening = { state: turn.state, ctx }
    this.#effects(turn)
    await this.world.settle()
    const { state } = this.#opening
    return state.tag === 'await-ready' ? state.channel.params.channelId : null
  }

  /** funding_created for an output of whosoever. @returns the id that the channel has by that */
  claim(funding: Outpoint): ChannelId {
    const { state, ctx } = this.#opening!
    const turn = advance(state, { tag: 'funded', tx: fundingTx(this.#wanted!), outputIndex: 1 }, ctx)
    if (turn.state.tag !== 'await-funding-signed') throw new Error(`it cannot fund a channel in ${turn.state.tag}`)
    const { channel, temporaryChannelId } = turn.state
    const { sighash } = buildRemote(channel, { ...channel.commitments.active[0]!, funding })
    this.say({
      type: 'funding_created',
      temporaryChannelId,
      fundingTxid: funding.txid,
      fundingOutputIndex: funding.index,
      signature: ctx.signer.signFunding(sighash),
    })
    this.#opening = null
    return channelIdOf(funding)
  }

  #hear(message: Message): void {
    this.heard.push(message)
    if (!this.#opening || !isChannelMessage(message)) return
    this.#step({ tag: 'message', message: message as ChannelMessage })
  }
  #step(input: Parameters<typeof advance>[1]): void {
    const turn = advance(this.#opening!.state, input, this.#opening!.ctx)
    this.#opening!.state = turn.state
    this.#effects(turn)
  }
  #effects({ effects }: Turn): void {
    for (const effect of effects) {
      if (effect.tag === 'send') this.say(effect.message)
      if (effect.tag !== 'fund') continue
      this.#wanted = effect
      if (!this.hesitates) this.#step({ tag: 'funded', tx: fundingTx(effect), outputIndex: 1 })
    }
  }
}
