import { type ChannelId, outpointKey } from '../../src/base/ids.ts'
import { msat, type Sat, sat } from '../../src/base/units.ts'
import { type Transaction, txidOf } from '../../src/bitcoin/transaction.ts'
import { acceptChannel, advance, openChannel } from '../../src/channel/advance.ts'
import { fundingScriptOf } from '../../src/channel/commitments.ts'
import type { AcceptParams, ChainEvent, OpenParams } from '../../src/channel/types.ts'
import type { ChannelEntry } from '../../src/node/channels.ts'
import { relayPolicy } from '../../src/node/policy.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import type { ChannelMessage } from '../../src/wire/registry.ts'
import type { Arena, Lane } from './arena.ts'
import { lend, tempt } from './borrowed.ts'
import type { GenesisCoin } from './chain.ts'
import { nodeIdOf, START, signerOf } from './keys.ts'

export const CAPACITY: Sat = sat(3_000_000)
export const PUSH: Sat = sat(1_500_000)

/** How the hostile take a channel of hal's. */
export const ACCEPTS: AcceptParams = {
  remoteNodeId: nodeIdOf('hal'),
  theirFeatures: ourInitFeatures(),
  relay: relayPolicy(1n),
  keyIndex: 0,
}

/** A channel of hal's, from open_channel to channel_ready. @returns the coin that it is */
export function openLane(arena: Arena, lane: Lane): GenesisCoin {
  const { channelType, opens, feeratePerKw } = arena.setting
  const mal = arena.hostiles.get(lane)
  const peerId = mal?.nodeId ?? nodeIdOf('una')
  const params: OpenParams = {
    temporaryChannelId: (lane === 'up' ? 'aa' : 'bb').repeat(32) as ChannelId,
    remoteNodeId: opens ? peerId : nodeIdOf('hal'),
    capacitySat: CAPACITY,
    pushMsat: msat(PUSH * 1000n),
    announce: false,
    channelType,
    feeratePerKw,
    fundingFeeratePerKw: 1000,
    theirFeatures: ourInitFeatures(),
    relay: relayPolicy(CAPACITY * 1000n),
    keyIndex: 0,
    requestId: 1,
  }
  if (mal) mal.height = START
  if (opens) arena.hal.open(lane, params, `hal-${lane}`)
  else if (mal) mal.begin(openChannel(params, mal.ctx))
  else arena.una!.open(lane, params, `una-${lane}`)
  let tx: Transaction | null = null
  for (let i = 0; i < 40; i++) {
    tx = fund(arena, lane) ?? tx
    if (!arena.deliver(lane, true) && !arena.deliver(lane, false)) break
  }
  confirm(arena, lane, tx!)
  arena.pump(lane)
  const { tag } = arena.hal.entry(lane).state
  if (tag !== 'normal') throw new Error(`not open: ${tag}`)
  return { outpoint: { txid: txidOf(tx!), index: 0 }, output: tx!.outputs[0]! }
}

function confirm(arena: Arena, lane: Lane, tx: Transaction): void {
  const txIndex = lane === 'up' ? 1 : 2
  const confirmed: ChainEvent = { tag: 'confirmed', txid: txidOf(tx), tx, height: START - 10, txIndex }
  for (const event of [confirmed, { tag: 'block', height: START } as const]) {
    for (const node of arena.honest) {
      const entry = node.channels.get(lane)
      if (entry) node.turn(() => node.channels.deliver(entry, { tag: 'chain', event }))
    }
    arena.hostiles.get(lane)?.step({ tag: 'chain', event })
  }
}

/** @returns the funding transaction, once it is asked for */
function fund(arena: Arena, lane: Lane): Transaction | null {
  const wanted = arena.honest.find((n) => n.funding)
  const mal = arena.hostiles.get(lane)
  const state = mal?.state
  const theirs = state?.tag === 'await-funding' ? fundingScriptOf(state.proposal.local, state.remote) : null
  const script = wanted?.funding?.scriptPubKey ?? theirs
  if (!script) return null
  const { borrowed } = arena.setting
  if (mal && borrowed) {
    const entry = arena.hal.entry(lane)
    const lent = lend(lane, borrowed, { hal: entry.state, mal: state! })
    entry.state = lent.hal
    mal.state = lent.mal
  }
  const output = { amountSat: CAPACITY, scriptPubKey: script }
  const tx: Transaction = { version: 2, inputs: [], outputs: [output], lockTime: lane === 'up' ? 77 : 78 }
  const key = outpointKey({ txid: txidOf(tx), index: 0 })
  arena.chain.coins().set(key, { output, height: START - 10, coinbase: false })
  if (wanted) {
    wanted.funding = null
    const entry = wanted.channels.get(lane)!
    wanted.turn(() => wanted.channels.deliver(entry, { tag: 'funded', tx, outputIndex: 0 }))
  } else mal!.step({ tag: 'funded', tx, outputIndex: 0 })
  return tx
}

/** Whether hal would take basepoints of its own for the peer's: what it says of the peer's message with one in it. */
export function temptHal({ hal }: Arena, lane: Lane, message: ChannelMessage): void {
  const meta = { sweepScriptPubKey: new Uint8Array(22) }
  const entry = hal.channels.get(lane) ?? ({ signer: signerOf(`hal-${lane}`), meta } as ChannelEntry)
  const ctx = hal.context(entry)
  const taken =
    message.type === 'open_channel'
      ? tempt(lane, message, (m) => acceptChannel(m, ACCEPTS, ctx).state)
      : message.type === 'accept_channel'
        ? tempt(lane, message, (m) => advance(entry.state, { tag: 'message', message: m }, ctx).state)
        : []
  if (taken.length > 0) throw new Error(`a basepoint of ours is taken as ${taken.join()}`)
}
