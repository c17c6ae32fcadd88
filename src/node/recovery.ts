import { pack, unpackIfWhole } from '../base/pack.ts'
import { channelOf, watches } from '../channel/describe.ts'
import { ChannelRecordError, loadChannel, REVOKED_PREFIX } from '../channel/persist.ts'
import { isDamaged } from '../store/checked.ts'
import { closeGaps } from '../store/journal.ts'
import { keys, prefixRange } from '../store/schema.ts'
import { adopt, KEY_INDEXES_LEFT_OUT, type KnownBackup, noteBackup, recallFor } from './adopt.ts'
import { apart } from './apart.ts'
import type { StaticBackup } from './backup.ts'
import type { ChannelEntry, ChannelMeta } from './channels.ts'
import { fundingOwner } from './effects.ts'
import { holdingsOf, watchedFrom } from './holdings.ts'
import { backupBeside, isReplaced, lostChannels } from './lostChannels.ts'
import type { Node } from './node.ts'
import type { TurnScope } from './reactor.ts'
import { rebroadcastAll } from './rebroadcast.ts'
import { holdAllForwards } from './standings.ts'

/** A channel of which a record is lost or damaged. */
export interface Damaged {
  readonly localId: string
  /** Null when that is what is damaged. */
  readonly meta: ChannelMeta | null
  /** For people. */
  readonly why: string
  /** Its bytes have changed on disk: the program could read it otherwise. */
  readonly isRot?: true
  /** The channel goes on: `meta` was made anew. */
  readonly isNamed?: true
  /** An earlier start has taken it in from the backup, and its name is left. */
  readonly isReplaced?: true
}

/**
 * Reads every channel from the store, in the order of their opening.
 * @returns those that cannot be read, whatever it was that damaged them: the others go on
 * @throws ChannelRecordError when a newer program wrote them; when none can be read though no write was lost
 */
export async function loadChannels(node: Node): Promise<readonly Damaged[]> {
  const { driver, channels, resources } = node
  const nameless: Damaged[] = []
  const named: Damaged[] = []
  const metas: ChannelMeta[] = []
  const prefix = keys.channelMeta('')
  for await (const [key, value] of driver.entries(prefixRange(prefix))) {
    const meta = unpackIfWhole<ChannelMeta>(value)
    const localId = key.slice(prefix.length)
    if (meta?.localId === localId) metas.push(meta)
    else
      nameless.push({ localId, meta: null, why: 'the record of whose it is', ...(isDamaged(value) && { isRot: true }) })
  }
  for (const meta of metas) node.numbers.reserve(meta)
  const lost = await lostChannels(node, metas)
  metas.push(...lost)
  const damaged = nameless.filter(({ localId }) => !lost.some((meta) => meta.localId === localId))
  const count = metas.length + damaged.length
  for (const meta of metas.sort((a, b) => a.seq - b.seq)) {
    const records = await recordsOf(node, meta)
    try {
      const state = loadChannel(records)
      channels.restore({ meta, signer: node.signerFor(meta), state, stored: state, quarantined: null })
      if (lost.includes(meta)) named.push({ localId: meta.localId, meta, why: 'whose it is', isNamed: true })
    } catch (e) {
      if (e instanceof ChannelRecordError && e.isNewer) throw e
      damaged.push({ localId: meta.localId, meta, ...reasonOf(e, records) })
    }
  }
  const isAll = damaged.length > 0 && damaged.length === count
  if (isAll && resources.doubt === null && !damaged.some((each) => each.isRot)) throw unreadable(damaged)
  const settled = await Promise.all(
    damaged.map(async (each) => ((await isReplaced(node, each)) ? { ...each, isReplaced: true as const } : each)),
  )
  const backups = await driver.get(keys.backups)
  if (backups) node.backups = unpackIfWhole<readonly KnownBackup[]>(backups) ?? []
  const reserved = await driver.get(keys.keyIndex)
  const next = reserved && (unpackIfWhole<number>(reserved) ?? node.numbers.nextKeyIndex + KEY_INDEXES_LEFT_OUT)
  if (next) node.numbers.reserve({ keyIndex: next - 1, seq: 0 })
  return [...settled, ...named]
}

/** That bytes have changed on disk counts where the channel cannot be read: what lies under another key than its own since is not needed. */
function reasonOf(e: unknown, records: readonly (readonly [string, Uint8Array])[]): Pick<Damaged, 'why' | 'isRot'> {
  const changed = records.flatMap(([key, value]) => (isDamaged(value) ? [key] : []))
  if (changed.length > 0) return { why: `its bytes have changed on disk: ${changed.join(', ')}`, isRot: true }
  return { why: e instanceof Error ? e.message : String(e) }
}

/** All but what is read only to punish: that grows with every payment, and the time of a start must not. */
async function recordsOf(
  { driver }: Node,
  { localId }: ChannelMeta,
): Promise<readonly (readonly [string, Uint8Array])[]> {
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
  return records
}

/** Not one channel: that is no damage to a record, but a program that cannot read them, or a database that is no more. */
function unreadable(damaged: readonly Damaged[]): ChannelRecordError {
  const list = damaged.map(({ localId, meta, why }) => `${localId} with ${meta?.peer ?? 'a peer'}: ${why}`).join('; ')
  return new ChannelRecordError(
    `no channel can be read (${list}): use the program that wrote them, or fulmen restore into another data directory, from the seed and the channel backup; never put an older copy of the database in its place`,
  )
}

/**
 * Brings everything in line after a start: channels go offline, watches are set, the payments learn what the channels know, and
 * what should be in the mempool goes there again. Right even if the last batch was cut apart by channel.
 */
export async function recover(node: Node, damaged: readonly Damaged[]): Promise<void> {
  const { channels, payments, wallet, reactor, resources } = node
  const entries = channels.all()
  const backup = resources.doubt?.backup ?? null
  const spare = backup ?? (await backupOfDamaged(node, damaged))
  node.backup.begin()
  await payments.recall(holdingsOf(entries))
  if (spare) await recallFor(node, spare)
  // A lost write may have been of any block: all are looked through, if need be over several starts.
  const isLookingBack = resources.doubt !== null || (await node.driver.get(keys.lookBack)) !== undefined
  await reactor.run((scope) => {
    if (isLookingBack) scope.write({ key: keys.lookBack, value: pack(true) })
    for (const { state, meta } of isLookingBack ? entries : []) if (channelOf(state)) node.lookingBack.add(meta.localId)
    wallet.rollback(node.chain.height, node.chain.tip.hash)
    for (const entry of entries) resume(node, entry, scope)
    channels.drain(scope)
    // Before anything is concluded from what no channel holds.
    const restored = new Set((spare ? adopt(node, spare, scope, unreadOf(damaged)) : []).map((meta) => meta.keyIndex))
    channels.replayResults(scope)
    // What the lost connections left unbound is gone by now.
    apart(node, 'payments', scope, () => payments.recover(holdingsOf(channels.all()), scope))
    channels.drain(scope)
    channels.replayResults(scope)
    channels.replayIncoming(scope)
    apart(node, 'payments', scope, () => holdAllForwards(node, scope))
    channels.drain(scope)
    rebroadcastAll(node, scope)
    wallet.releaseUnless((owner) => entries.some((e) => fundingOwner(e) === owner))
    settleDamaged(node, damaged, restored, scope)
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

/**
 * Tells of each channel with a damaged record what becomes of it.
 * @param restored key indexes of the channels that a backup has brought back
 */
function settleDamaged(node: Node, damaged: readonly Damaged[], restored: ReadonlySet<number>, scope: TurnScope): void {
  const known = new Set(damaged.map(({ meta }) => meta?.keyIndex))
  const nameless = damaged.filter(({ meta, isReplaced }) => meta === null && !isReplaced)
  const areNamelessRestored = [...restored].filter((keyIndex) => !known.has(keyIndex)).length >= nameless.length
  for (const each of damaged) {
    const { localId, meta } = each
    if (each.isNamed) {
      scope.write({ key: keys.channelMeta(localId), value: pack(meta) })
      reportDamage(node, each, 'it was made anew, and the channel goes on', scope)
      continue
    }
    const isRestored = each.isReplaced || (meta ? restored.has(meta.keyIndex) : areNamelessRestored)
    // Its place is taken by what the backup knows.
    if (isRestored) scope.write({ key: keys.channelMeta(localId) })
    else node.damaged.set(localId, meta)
    reportDamage(node, each, isRestored ? RESTORED : NOT_RESTORED, scope)
  }
}

/** What a channel is told first: that everything may be different from what it remembers. */
function resume({ channels, chain, resources, lookingBack }: Node, entry: ChannelEntry, scope: TurnScope): void {
  const { localId } = entry.meta
  channels.deliver(entry, { tag: 'disconnected' })
  if (resources.doubt) channels.deliver(entry, { tag: 'doubted' })
  channels.deliver(entry, { tag: 'chain', event: { tag: 'reorg', height: chain.height } })
  const from = lookingBack.has(localId) ? channelOf(entry.state)?.params.openedAt : watchedFrom(entry.state)
  chain.watch(localId, watches(entry.state), scope, from)
}

/** No write was lost, but records are damaged: what the backup beside the database has of those channels. */
async function backupOfDamaged(node: Node, damaged: readonly Damaged[]): Promise<StaticBackup | null> {
  const missing = damaged.filter((each) => !each.isNamed && !each.isReplaced)
  if (missing.length === 0) return null
  const lost = new Set(missing.map(({ meta }) => meta?.keyIndex))
  const isLost = (keyIndex: number): boolean => lost.has(keyIndex) || lost.has(undefined)
  const backup = await backupBeside(node)
  return backup && { ...backup, channels: backup.channels.filter((c) => isLost(c.keyIndex)) }
}

/** By key index, the local ids of those of which it is known whose they are. */
const unreadOf = (damaged: readonly Damaged[]): ReadonlyMap<number, string> =>
  new Map(damaged.flatMap(({ localId, meta }) => (meta ? [[meta.keyIndex, localId]] : [])))

const RESTORED = 'what the backup has of it takes its place, and its peer is asked to close it'
export const NOT_RESTORED = 'have the peer close it, and restore what it pays from the backup'

function reportDamage(node: Node, damage: Damaged, what: string, scope: TurnScope): void {
  const { localId: id, meta, why } = damage
  const peer = meta?.peer ?? null
  const message = `a record of this channel is lost or damaged (${why}): ${what}`
  node.log.error({ channel: id, peer }, message)
  node.events.emit(scope, 'node.alert', { id, peer, code: 'CHANNEL_DAMAGED', message, byPeer: false })
}

/** Names in one alert. */
const NAMED = 10

/**
 * Records of which one alone is lost when it is damaged: at the start, and what is found later on.
 * @param counts of those that cannot be read, by part
 * @param channels that have alerts of their own
 */
export async function reportUnreadable(
  node: Node,
  counts: Readonly<Record<string, number>>,
  channels: readonly Damaged[] = [],
): Promise<void> {
  const found = Object.entries(counts).filter(([, count]) => count > 0)
  const changed = (node.resources.takeDamaged?.() ?? []).filter((key) => !channels.some((one) => isOf(one, key)))
  if (found.length + changed.length === 0) return
  const named = changed.length > NAMED ? [...changed.slice(0, NAMED), `${changed.length - NAMED} more`] : changed
  const list = [...found.map(([part, count]) => `${count} of ${part}`), ...named].join(', ')
  const message = `records are damaged, and left out: ${list}; see whether the disk is sound`
  node.log.error({ ...counts, changed }, message)
  await node.reactor.run((scope) =>
    node.events.emit(scope, 'node.alert', { code: 'RECORDS_DAMAGED', message, byPeer: false }),
  )
}

/** What is read only to punish is no loss to the channel itself. */
const isOf = ({ localId }: Damaged, key: string): boolean =>
  key === keys.channelMeta(localId) ||
  (key.startsWith(keys.channel(localId, '')) && !key.startsWith(keys.channel(localId, REVOKED_PREFIX)))
