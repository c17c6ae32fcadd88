import { pack } from '../base/pack.ts'
import { sat } from '../base/units.ts'
import { MAX_REORG } from '../chain/follower.ts'
import { restoreChannel } from '../channel/restored.ts'
import { isFunded } from '../channel/states/offline.ts'
import { keys } from '../store/schema.ts'
import { addressOf, type ChannelBackup, type StaticBackup } from './backup.ts'
import type { ChannelMeta } from './channels.ts'
import { holdingsOf } from './holdings.ts'
import type { Node } from './node.ts'
import type { TurnScope } from './reactor.ts'

/**
 * A backup may be of some time ago: key indexes beyond it may have been in use. Whoever knows a channel's secrets of old could punish
 * a new one of the same keys, and there are two thousand million indexes.
 */
export const KEY_INDEXES_LEFT_OUT = 100_000

/**
 * Takes in the channels of a backup that the database does not know: their peers are asked to close them (channel/restored.ts). Nor are
 * addresses given out again that it does not know of.
 * @param unread local ids of channels that cannot be read, by key index
 * @returns what was taken in
 */
export function adopt(
  node: Node,
  backup: StaticBackup,
  scope: TurnScope,
  unread: ReadonlyMap<number, string> = new Map(),
): readonly ChannelMeta[] {
  const { channels, payments, peers, wallet } = node
  if (backup.addresses) wallet.skipIssued(backup.addresses)
  const used = Math.max(backup.nextKeyIndex ?? 1, ...backup.channels.map((c) => c.keyIndex + 1))
  node.numbers.reserve({ keyIndex: used + KEY_INDEXES_LEFT_OUT, seq: 0 })
  const taken = unknownIn(node, backup).map((c) => {
    const { peer, address, openedAt = 0, remote = null } = c
    const replaces = unread.get(c.keyIndex)
    const meta = { ...node.numbers.take(peer, undefined, c.keyIndex), ...(replaces !== undefined && { replaces }) }
    const signer = node.signerFor(meta)
    const restored = {
      ...{ ...c, capacitySat: sat(c.capacitySat), remoteNodeId: peer, remote },
      // A reorganisation may have put the funding below the block at which the opening began.
      openedAt: Math.max(0, openedAt - MAX_REORG),
      since: c.openedAt ?? node.chain.height,
    }
    const entry = channels.adopt(meta, signer, restoreChannel(restored, signer), scope)
    const where = address === null ? null : addressOf(peer, address)
    if (where && !peers.address(peer)) peers.remember(where, scope)
    const session = peers.session(peer)
    if (session) channels.deliver(entry, { tag: 'connected', theirFeatures: session.theirFeatures })
    return entry
  })
  payments.takeIn(holdingsOf(taken, true).outgoing, scope)
  return taken.map(({ meta }) => meta)
}

/** Before `adopt`: what the database remembers of payments whose HTLCs the backup has. */
export const recallFor = (node: Node, backup: StaticBackup): Promise<void> =>
  node.payments.recall({
    outgoing: unknownIn(node, backup).flatMap(({ channelId, htlcs = [] }) =>
      htlcs.flatMap(({ origin, amountMsat }) => (origin ? [{ channelId, origin, amountMsat }] : [])),
    ),
    released: [],
    undecided: [],
  })

/** A backup that this database has made, or begun with. */
export type KnownBackup = Pick<StaticBackup, 'journal' | 'mark'>
const BACKUPS_KNOWN = 100

/** Notes a backup as one of the database's own, in the batch after which it may be given away. */
export function noteBackup(node: Node, { journal, mark }: StaticBackup): Promise<number> {
  node.backups = [...node.backups, { journal, mark: mark ?? '' }].slice(-BACKUPS_KNOWN)
  return node.resources.journal.commit([{ key: keys.backups, value: pack(node.backups) }])
}

/**
 * Whether a backup is of a later time than the database, or of a life that it does not remember. The journal's number alone does not
 * tell, since a copy that was put back goes on counting; nor do the channels, since those that were never funded are forgotten.
 */
export function isNewer({ backups, resources }: Node, { journal, mark }: StaticBackup): boolean {
  if (journal > resources.journal.durable) return true
  const oldest = backups[0]
  return oldest !== undefined && mark !== undefined && journal > oldest.journal && !backups.some((b) => b.mark === mark)
}

function unknownIn({ channels, damaged }: Node, backup: StaticBackup): readonly ChannelBackup[] {
  const unread = new Set([...damaged.values()].map((meta) => meta?.keyIndex))
  return backup.channels.filter((c) => {
    const meta = channels.byChannelId(c.channelId)?.meta
    // Another peer may have claimed the funding of a channel that was not known any more.
    const isKnown = meta?.keyIndex === c.keyIndex && meta.peer === c.peer
    return !isKnown && !unread.has(c.keyIndex)
  })
}

/**
 * A peer gave back a newer backup than the database knows of: the database is a copy of long ago, and peers have been told where that
 * stands, in this run or one before. Their word proves nothing any more: they are asked to close every channel (doubt.ts), and what it
 * does not know is taken in.
 * @param kept path of the file that the backup was kept in; null: it could not be
 */
export async function doubtAll(node: Node, backup: StaticBackup, kept: string | null): Promise<void> {
  const { channels, events, log, peers, reactor, resources } = node
  await recallFor(node, backup)
  const message = `a peer keeps a channel backup that is newer than this database, which is an old copy: no commitment of it is published, and the peers are asked to close the channels; the backup ${kept === null ? 'could not be written to a file of its own' : `was kept as ${kept}`}`
  await reactor.run((scope) => {
    if (!isNewer(node, backup)) return // another peer gave it back, too
    log.error({ kept }, message)
    events.emit(scope, 'node.alert', { code: 'DATABASE_IS_OLDER', message, byPeer: false })
    const talking = new Set(channels.all().flatMap(({ state, meta }) => (isFunded(state) ? [meta.peer] : [])))
    for (const entry of channels.all()) channels.deliver(entry, { tag: 'doubted', isLate: true })
    adopt(node, backup, scope)
    channels.drain(scope)
    // They are asked to close once more then, and where a close was negotiated already, that begins anew.
    for (const link of peers.links())
      if (talking.has(link.nodeId)) scope.after(() => peers.disconnect(link, 'the database is an old copy'))
  })
  resources.journal.skipTo(backup.journal)
  await noteBackup(node, backup)
}
