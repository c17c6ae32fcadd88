import { unpack } from '../base/pack.ts'
import { channelOf, watches } from '../channel/describe.ts'
import { ChannelRecordError, loadChannel, REVOKED_PREFIX } from '../channel/persist.ts'
import type { ChannelState } from '../channel/state.ts'
import { closeGaps } from '../store/journal.ts'
import { keys, prefixRange } from '../store/schema.ts'
import { adopt, noteBackup, recallFor } from './adopt.ts'
import { apart } from './apart.ts'
import type { ChannelEntry, ChannelMeta } from './channels.ts'
import { fundingOwner } from './effects.ts'
import { holdingsOf, watchedFrom } from './holdings.ts'
import type { Node } from './node.ts'
import type { TurnScope } from './reactor.ts'
import { rebroadcastAll } from './rebroadcast.ts'

/**
 * Reads every channel from the store, in the order of their opening.
 * @returns those of which a lost write took a record: they are left alone, for the peer to close
 * @throws ChannelRecordError when a record is missing though no write was lost
 */
export async function loadChannels(node: Node): Promise<readonly ChannelMeta[]> {
  const { driver, channels, resources } = node
  const damaged: ChannelMeta[] = []
  const metas: ChannelMeta[] = []
  for await (const [, value] of driver.entries(prefixRange(keys.channelMeta('')))) metas.push(unpack(value))
  for (const meta of metas.sort((a, b) => a.seq - b.seq)) {
    node.numbers.reserve(meta)
    try {
      const state = await readChannel(node, meta)
      channels.restore({ meta, signer: node.signerFor(meta), state, stored: state, quarantined: null })
    } catch (e) {
      if (!(e instanceof ChannelRecordError) || resources.doubt === null) throw e
      damaged.push(meta)
    }
  }
  const backups = await driver.get(keys.backups)
  if (backups) node.backups = unpack(backups)
  const reserved = await driver.get(keys.keyIndex)
  if (reserved) node.numbers.reserve({ keyIndex: unpack<number>(reserved) - 1, seq: 0 })
  return damaged
}

/** All but what is read only to punish: that grows with every payment, and the time of a start must not. */
async function readChannel({ driver }: Node, { localId }: ChannelMeta): Promise<ChannelState> {
  const prefix = keys.channel(localId, '')
  const { gte, lt } = prefixRange(prefix)
  const revoked = prefixRange(`${prefix}${REVOKED_PREFIX}`)
  const records: [string, Uint8Array][] = []
  for (const range of [
    { gte, lt: revoked.gte },
    { gte: revoked.lt, lt },
  ]) {
    for await (const [key, record] of driver.entries(range)) records.push([key.slice(prefix.length), record])
  }
  return loadChannel(records)
}

/**
 * Brings everything in line after a start: channels go offline, watches are set, the payments learn what the channels know, and
 * what should be in the mempool goes there again. Right even if the last batch was cut apart by channel.
 */
export async function recover(node: Node, damaged: readonly ChannelMeta[]): Promise<void> {
  const { channels, payments, wallet, reactor, resources } = node
  const entries = channels.all()
  const backup = resources.doubt?.backup ?? null
  node.backup.begin()
  await payments.recall(holdingsOf(entries))
  if (backup) await recallFor(node, backup)
  await reactor.run((scope) => {
    wallet.rollback(node.chain.height, node.chain.tip.hash)
    for (const entry of entries) resume(node, entry, scope)
    channels.drain(scope)
    // Before anything is concluded from what no channel holds.
    const restored = new Set((backup ? adopt(node, backup, scope) : []).map((meta) => meta.keyIndex))
    channels.replayResults(scope)
    // What the lost connections left unbound is gone by now.
    apart(node, 'payments', scope, () => payments.recover(holdingsOf(channels.all()), scope))
    channels.drain(scope)
    channels.replayResults(scope)
    channels.replayIncoming(scope)
    rebroadcastAll(node, scope)
    wallet.releaseUnless((owner) => entries.some((e) => fundingOwner(e) === owner))
    for (const meta of damaged) {
      // Its place is taken by what the backup knows.
      if (restored.has(meta.keyIndex)) scope.write({ key: keys.channelMeta(meta.localId) })
      else reportDamage(node, meta, scope)
    }
    // A crash may have come between a channel and its backup.
    if (entries.length > 0) scope.hold(() => node.backUp())
  })
  const gaps = resources.doubt?.missing.length ? await closeGaps(node.driver) : []
  // From here on the database is as new as its backup, and as every copy of that which a peer may keep.
  if (backup) {
    resources.journal.skipTo(backup.journal)
    await noteBackup(node, backup)
  }
  await reactor.run((scope) => {
    for (const op of gaps) scope.write(op)
  })
}

/** What a channel is told first: that everything may be different from what it remembers. */
function resume({ channels, chain, resources }: Node, entry: ChannelEntry, scope: TurnScope): void {
  const { localId } = entry.meta
  channels.deliver(entry, { tag: 'disconnected' })
  if (resources.doubt) channels.deliver(entry, { tag: 'doubted' })
  channels.deliver(entry, { tag: 'chain', event: { tag: 'reorg', height: chain.height } })
  // A lost write may have been of any block.
  const openedAt = channelOf(entry.state)?.params.openedAt
  const from = resources.doubt ? openedAt : watchedFrom(entry.state)
  chain.watch(localId, watches(entry.state), scope, from)
}

function reportDamage(node: Node, { localId: id, peer, keyIndex }: ChannelMeta, scope: TurnScope): void {
  const { damaged, events, log } = node
  damaged.add(keyIndex)
  const message =
    'a lost write took a record of this channel: have the peer close it, and restore what it pays from the backup'
  log.error({ channel: id, peer }, message)
  events.emit(scope, 'node.alert', { id, peer, code: 'CHANNEL_DAMAGED', message, byPeer: false })
}
