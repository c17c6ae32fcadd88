import type { Wallet } from '../onchainSchemas.ts'
import type { Channel, Peer } from '../schemas.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

/** So long before the node would go on chain for an HTLC, the operator hears of it. */
const NOTICE_BLOCKS = 6

export interface ChannelFacts {
  readonly channels: readonly Channel[]
  readonly peers: readonly Peer[]
  readonly wallet: Wallet | null
  readonly height: number
  /** Of the node's margins, where they are known. */
  readonly closeBeforeExpiry: number
}

/** What the channels, their peers and the wallet that pays for their end have to say. */
export function channelFindings({
  channels,
  peers,
  wallet,
  height,
  closeBeforeExpiry,
}: ChannelFacts): readonly Finding[] {
  const open = channels.filter((c) => c.state !== 'closed')
  const states = open.flatMap((c) => channelState(c) ?? [])
  const htlcs = open.flatMap((c) => lateHtlcs(c, height, closeBeforeExpiry))
  return [
    ...offlinePeers(peers),
    ...(open.length > 0 && states.length === 0 ? [ok('channels', `${open.length}, nothing waits`)] : states),
    ...htlcs,
    ...liquidity(open),
    ...(wallet ? reserve(wallet) : []),
  ]
}

function offlinePeers(peers: readonly Peer[]): readonly Finding[] {
  const needed = peers.filter((p) => p.channels > 0)
  const away = needed.filter((p) => !p.connected)
  if (away.length === 0) return needed.length === 0 ? [] : [ok('peers', `all ${needed.length} with channels connected`)]
  return away.map(({ nodeId, alias, address }) => {
    const cure = address
      ? `see that ${address} can be reached; a new address: fulmen peer connect ${nodeId}@HOST:PORT`
      : `it has always connected to us, so we know no address: fulmen peer connect ${nodeId}@HOST:PORT`
    return warning('peers', `${alias || nodeId} is offline, and has channels with us`, cure)
  })
}

/** What keeps one channel from working. */
export function channelState(c: Channel): Finding | null {
  const check = `channel ${c.id}`
  const waits = c.waitsFor ?? 'nothing'
  if (c.state === 'waiting-for-peer') {
    const isHeldBack = waits.includes('ours is published')
    const orElse = isHeldBack
      ? 'otherwise our own commitment follows by itself'
      : 'the last resort is --accept-risk of fulmen channel close'
    const cure = `reach the peer: fulmen peer connect ${c.peer}@HOST:PORT, or ask its operator to close by force; ${orElse}`
    return problem(check, `its peer is to close it; it waits for ${waits}`, cure, {
      code: 'CHANNEL_WAITS_FOR_PEER',
      about: c.id,
    })
  }
  if (c.state === 'normal' && c.peerConnected && !c.usable) {
    const isSetAside = waits.includes('bug')
    const cure = isSetAside
      ? 'report it with the log; claims with a deadline go on by themselves'
      : 'if it stays so, reconnect: fulmen peer disconnect and connect'
    return isSetAside
      ? problem(check, `set aside: it waits for ${waits}`, cure, { code: 'CHANNEL_QUARANTINED', about: c.id })
      : warning(check, `waits for ${waits}`, cure)
  }
  if (waits.includes('lost')) {
    return problem(
      check,
      `in doubt: it waits for ${waits}`,
      `bring the peer online: fulmen peer connect ${c.peer}@HOST:PORT`,
      { code: 'CHANNEL_IN_DOUBT', about: c.id },
    )
  }
  if (c.state === 'normal' || c.waitsFor === null) return null
  const cure = /height|confirmation/.test(waits) ? 'wait for the blocks' : 'see that the peer is online'
  return warning(check, `${c.state}: it waits for ${waits}`, cure)
}

/** HTLCs of a channel that go on chain soon, unless its peer answers. */
export function lateHtlcs(c: Channel, height: number, closeBeforeExpiry: number): readonly Finding[] {
  if (c.closing !== null) return [] // on chain already, where the node sees to them
  return c.htlcs
    .filter((h) => h.cltvExpiry - height <= closeBeforeExpiry + NOTICE_BLOCKS)
    .map((h) => {
      const left = h.cltvExpiry - height
      const message = `${h.direction === 'in' ? 'incoming' : 'outgoing'} HTLC of ${h.amountMsat} msat expires in ${Math.max(0, left)} blocks; the channel is closed over it if its peer does not answer`
      const cure = `bring the peer online: fulmen peer connect ${c.peer}@HOST:PORT`
      return problem(`channel ${c.id}`, message, cure, { code: 'HTLC_DEADLINE', about: c.id })
    })
}

function liquidity(open: readonly Channel[]): readonly Finding[] {
  const usable = open.filter((c) => c.usable)
  if (usable.length === 0) {
    if (open.length > 0) return [warning('liquidity', 'no channel can be used now', 'see what the channels wait for')]
    return [warning('liquidity', 'there is no channel', 'fulmen channel open NODEID@HOST:PORT SATOSHIS')]
  }
  const out = usable.reduce((sum, c) => sum + c.sendableMsat, 0)
  const into = usable.reduce((sum, c) => sum + c.receivableMsat, 0)
  const found: Finding[] = []
  if (out <= 0) found.push(warning('liquidity', 'nothing can be paid', 'open a channel, or be paid over one'))
  if (into <= 0)
    found.push(warning('liquidity', 'nothing can be received', 'pay over a channel, or have somebody open one to you'))
  return found.length > 0 ? found : [ok('liquidity', `${out} msat out, ${into} msat in`)]
}

/** Whether closing channels with anchors can be paid for. */
export function reserve({ confirmedSat, unconfirmedSat, reservedSat }: Wallet): readonly Finding[] {
  if (reservedSat === 0) return []
  const missing = reservedSat - confirmedSat
  if (missing <= 0) return [ok('wallet reserve', `${reservedSat} sat are there to close channels with`)]
  const message = `${confirmedSat} sat confirmed of the ${reservedSat} sat that closing channels with anchors may take`
  const cure = `send ${missing} sat to an address of fulmen wallet address`
  const alert = { code: 'WALLET_RESERVE_SHORT', about: null } as const
  return unconfirmedSat >= missing
    ? [warning('wallet reserve', message, 'wait for a block', alert)]
    : [problem('wallet reserve', message, cure, alert)]
}
