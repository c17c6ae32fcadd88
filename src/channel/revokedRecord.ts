import { fromHex } from '../base/bytes.ts'
import type { PaymentHash } from '../base/ids.ts'
import { unpack } from '../base/pack.ts'
import type { Msat } from '../base/units.ts'
import { WireReader, written } from '../wire/buffer.ts'
import type { RevokedHtlc } from './htlc.ts'

/** What MessagePack begins no map with: records of before schema 2 are maps. */
const OUT = 1
const IN = 2

/**
 * One byte for the direction, the payment hash, then amount (msat), expiry, the first of the peer's commitments that it stood in and in
 * how many, as BigSize: about 49 bytes. There are as many as HTLCs in the life of a channel.
 */
export const encodeRevoked = (h: RevokedHtlc): Uint8Array =>
  written((w) => {
    w.u8(h.direction === 'out' ? OUT : IN)
    w.bytes(fromHex(h.paymentHash))
    w.bigsize(h.amountMsat)
    for (const n of [h.cltvExpiry, h.remoteFrom, h.remoteTo - h.remoteFrom]) w.bigsize(BigInt(n))
  })

/** A record under REVOKED_PREFIX (persist.ts). */
export function decodeRevoked(value: Uint8Array): RevokedHtlc {
  if (value[0] !== OUT && value[0] !== IN) return unpack<RevokedHtlc>(value)
  const r = new WireReader(value)
  const direction = r.u8() === OUT ? 'out' : 'in'
  const paymentHash = r.hex(32) as PaymentHash
  const amountMsat = r.bigsize() as Msat
  const [cltvExpiry, remoteFrom, count] = [r.bigsize(), r.bigsize(), r.bigsize()].map(Number) as [
    number,
    number,
    number,
  ]
  return { direction, amountMsat, paymentHash, cltvExpiry, remoteFrom, remoteTo: remoteFrom + count }
}

/** Whether a settled HTLC stood in one of the peer's commitments. */
export const stoodIn = (htlc: RevokedHtlc, commitmentNumber: number): boolean =>
  htlc.remoteFrom <= commitmentNumber && commitmentNumber < htlc.remoteTo
