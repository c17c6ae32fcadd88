import { Packr } from 'msgpackr'

/**
 * `moreTypes` keeps Uint8Array (which would come back as a Buffer), Map, Set and Error; without records a value decodes with no
 * other knowledge. bigints of up to 64 bits come back as bigints, numbers as numbers.
 */
const packr = new Packr({ moreTypes: true, useRecords: false, mapsAsObjects: true, int64AsType: 'bigint', copyBuffers: true })

/** A stored value as MessagePack bytes. @throws RangeError for a bigint of more than 64 bits */
export const pack = (value: unknown): Uint8Array => Uint8Array.prototype.slice.call(packr.pack(value))
/** The inverse of pack; what it returns shares no memory with the input. */
export const unpack = <T>(bytes: Uint8Array): T => packr.unpack(bytes) as T
