import { unpackIfWhole } from '../base/pack.ts'
import { channelOf } from '../channel/describe.ts'
import type { Channel, ChannelParams } from '../channel/state.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver, Range } from '../store/types.ts'
import type { ChannelBackup, StaticBackup } from './backup.ts'
import type { ChannelMeta } from './channels.ts'
import type { Node } from './node.ts'

/**
 * A start finds channels by one small record each. Without it a channel would be forgotten, and be left out of the next backup: a disk, or
 * LevelDB, that lost it says nothing. So what the backup knows must be there. A channel that was given up has lost its `core` with
 * its name, before the backup is written without it; one of which there is no record at all may never have been on disk, since the backup is
 * of what is in memory.
 * @returns names made anew, for records that are there: also of those whose name is damaged
 */
export async function lostChannels(node: Node, metas: readonly ChannelMeta[]): Promise<readonly ChannelMeta[]> {
  const known = new Set(metas.map((meta) => meta.keyIndex))
  const missing = (await backedUp(node)).filter((c) => !known.has(c.keyIndex))
  const named: ChannelMeta[] = []
  for await (const localId of missing.length > 0 ? localIds(node.driver) : []) {
    if (metas.some((meta) => meta.localId === localId)) continue
    const fixed = await node.driver.get(keys.channel(localId, 'fixed'))
    const params = fixed && unpackIfWhole<{ readonly params?: ChannelParams }>(fixed)?.params
    const one = missing.find((c) => c.keyIndex === params?.keyIndex && c.channelId === params.channelId)
    if (!one) continue
    const isKept = (await node.driver.get(keys.channel(localId, 'core'))) !== undefined
    if (isKept) named.push(node.numbers.take(one.peer, localId, one.keyIndex))
  }
  return named
}

/**
 * Whether an earlier start has taken a channel that cannot be read in from the backup, as its key index shows, or, where that is not known
 * either, its other records: its parameters, or the place of its funding in the chain.
 */
export async function isReplaced(
  { channels, driver }: Pick<Node, 'channels' | 'driver'>,
  { localId, meta }: { readonly localId: string; readonly meta: ChannelMeta | null },
): Promise<boolean> {
  const restored = channels.all().filter(({ state }) => channelOf(state)?.restored)
  if (restored.length === 0) return false
  if (meta) return restored.some((entry) => entry.meta.keyIndex === meta.keyIndex && entry.meta.peer === meta.peer)
  const read = async <T>(part: 'fixed' | 'core'): Promise<Partial<T> | undefined> => {
    const record = await driver.get(keys.channel(localId, part))
    return record && unpackIfWhole<T>(record)
  }
  const params = (await read<Pick<Channel, 'params'>>('fixed'))?.params
  const at = (await read<Channel['funding']>('core'))?.confirmed
  return restored.some(({ state }) => {
    const its = channelOf(state)!
    if (params) return its.params.channelId === params.channelId && its.params.keyIndex === params.keyIndex
    const confirmed = its.funding.confirmed
    return at && confirmed?.height === at.height && confirmed.txIndex === at.txIndex
  })
}

/** None where the database is in doubt, or new: then everything is taken from the backup anyway. */
async function backedUp(node: Node): Promise<readonly ChannelBackup[]> {
  const { doubt, journal } = node.resources
  return doubt !== null || journal.durable === 0 ? [] : ((await backupBeside(node))?.channels ?? [])
}

/** The channel backup beside the database; null where there is none, or none that can be read, which is logged. */
export async function backupBeside({ resources, log }: Node): Promise<StaticBackup | null> {
  try {
    return (await resources.readBackup?.()) ?? null
  } catch (e) {
    log.error({ err: e }, 'the channel backup cannot be read')
    return null
  }
}

/** Of all channels that have records: one look for each, however many records it has. */
async function* localIds(driver: Driver): AsyncIterable<string> {
  const { lt } = prefixRange('channel/')
  for (let gte: string | null = 'channel/'; gte !== null; ) {
    const range: Range = { gte, lt, limit: 1 }
    gte = null
    for await (const [key] of driver.entries(range)) {
      const localId = key.split('/')[1] ?? ''
      yield localId
      gte = prefixRange(keys.channel(localId, '')).lt
    }
  }
}
