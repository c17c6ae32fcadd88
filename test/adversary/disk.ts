import type { RevokedHtlc } from '../../src/channel/htlc.ts'
import { loadChannel, REVOKED_PREFIX } from '../../src/channel/persist.ts'
import { decodeRevoked, stoodIn } from '../../src/channel/revokedRecord.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import type { Op } from '../../src/store/types.ts'

/** What an honest node has written: its channels' records. */
export class Disk {
  readonly records = new Map<string, Uint8Array>()

  write({ key, value }: Op): void {
    if (value) this.records.set(key, value)
    else this.records.delete(key)
  }

  /** A channel as a start finds it. */
  channel(localId: string): ChannelState {
    return loadChannel(this.#under(`channel/${localId}/`).filter(([key]) => !key.startsWith(REVOKED_PREFIX)))
  }

  /** The HTLCs that stood in a commitment of the peer that is revoked. */
  revokedHtlcs(localId: string, commitmentNumber: number): RevokedHtlc[] {
    return this.#under(`channel/${localId}/${REVOKED_PREFIX}`)
      .map(([, value]) => decodeRevoked(value))
      .filter((htlc) => stoodIn(htlc, commitmentNumber))
  }

  #under(prefix: string): [string, Uint8Array][] {
    return [...this.records].flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value] as [string, Uint8Array]] : [],
    )
  }
}
