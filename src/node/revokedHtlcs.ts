import type { RevokedHtlc } from '../channel/htlc.ts'
import { REVOKED_PREFIX } from '../channel/persist.ts'
import { decodeRevoked, stoodIn } from '../channel/revokedRecord.ts'
import type { ChannelState } from '../channel/state.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { Driver } from '../store/types.ts'
import type { ChannelEntry } from './channels.ts'
import type { Reactor } from './reactor.ts'

/** Deleted at once. */
const PAGE = 1_000

const rangeOf = (localId: string) => prefixRange(keys.channel(localId, REVOKED_PREFIX))

/**
 * What is left of the HTLCs that stood in a commitment which the peer has revoked: all records of the channel are gone through. One that
 * cannot be read keeps no other from being punished by.
 */
export async function revokedIn(
  driver: Driver,
  localId: string,
  commitmentNumber: number,
): Promise<{ readonly htlcs: readonly RevokedHtlc[]; readonly unreadable: number }> {
  const htlcs: RevokedHtlc[] = []
  let unreadable = 0
  for await (const [, value] of driver.entries(rangeOf(localId))) {
    try {
      const htlc = decodeRevoked(value)
      if (stoodIn(htlc, commitmentNumber)) htlcs.push(htlc)
    } catch {
      unreadable++
    }
  }
  return { htlcs, unreadable }
}

/** Nothing of the channel can be undone any more: there is nothing left to punish. */
export const isBeyondPunishing = (state: ChannelState): boolean => state.tag === 'closed' && state.irrevocable === true

interface Parts {
  readonly driver: Driver
  readonly reactor: Reactor
}

/** Deletes what was kept for punishing, a page in a batch. What a crash leaves is deleted after the next start. */
export async function dropRevoked({ driver, reactor }: Parts, localId: string): Promise<void> {
  for (;;) {
    const found: string[] = []
    for await (const [key] of driver.entries({ ...rangeOf(localId), limit: PAGE })) found.push(key)
    if (found.length === 0) return
    await reactor.run((scope) => {
      for (const key of found) scope.write({ key })
    })
  }
}

/** The same for all channels, after a start. */
export async function dropLeftOver(parts: Parts, entries: readonly ChannelEntry[]): Promise<void> {
  for (const { meta, state } of entries) if (isBeyondPunishing(state)) await dropRevoked(parts, meta.localId)
}
