import { Packr } from 'msgpackr'

/**
 * `moreTypes` keeps Uint8Array, which would come back as a Buffer; without msgpackr's own records a value decodes with no other
 * knowledge. Stored values are plain data: bigints of up to 64 bits and numbers come back as they were; a Map would not.
 */
const packr = new Packr({ moreTypes: true, useRecords: false, int64AsType: 'bigint', copyBuffers: true })

/** A stored value as MessagePack bytes. @throws RangeError for a bigint of more than 64 bits */
export const pack = (value: unknown): Uint8Array => new Uint8Array(packr.pack(value))
/** The inverse of pack; what it returns shares no memory with the input. */
export const unpack = <T>(bytes: Uint8Array): T => packr.unpack(bytes) as T
/** The same of a record that may be damaged: undefined where it cannot be read. */
export function unpackIfWhole<T>(bytes: Uint8Array): T | undefined {
  try {
    return unpack<T>(bytes)
  } catch {
    return undefined
  }
}
