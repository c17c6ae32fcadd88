import { type WireReader, written } from './buffer.ts'
import type { Codec, Fields, FieldValues } from './codec.ts'
import { WireError, wireErrorAt } from './errors.ts'
import { type TlvRecords, type TlvValues, tlvStream } from './tlv.ts'

/** One message of the protocol: its TypeScript type (`MessageOf`), encoder and decoder come from this alone. */
export interface MessageDefinition<Name extends string, F, T> {
  /** BOLT 1 §lightning-message-format: 0 – 65,535. */
  readonly typeNumber: number
  readonly name: Name
  readonly fields: F
  readonly tlvs: T
  /** With the 2-byte type. @throws WireError ('unencodable') */
  encode(message: MessageValue<Name, F, T>): Uint8Array
  /** From the byte after the type. @throws WireError */
  decode(r: WireReader): MessageValue<Name, F, T>
}

type Flat<T> = { readonly [K in keyof T]: T[K] }
export type MessageValue<Name extends string, F, T> = Flat<{ readonly type: Name } & FieldValues<F> & TlvValues<T>>
/** The message type of a definition; of a union of definitions, the union of their messages. */
export type MessageOf<D> = D extends MessageDefinition<infer Name, infer F, infer T> ? MessageValue<Name, F, T> : never

/**
 * Declares a message: fields in wire order, then the TLV stream that extends it. A message without TLVs of its own still gets
 * its extension checked (BOLT 1 §lightning-message-format), unless its last field is `rest`.
 */
export function message<
  const Name extends string,
  const F extends Fields,
  const T extends TlvRecords = Record<never, never>,
>(typeNumber: number, name: Name, fields: F, tlvs: T = {} as T): MessageDefinition<Name, F, T> {
  const names = Object.keys(fields)
  const codecs = Object.values(fields) as Codec<unknown>[]
  const stream = tlvStream(tlvs)
  return {
    typeNumber,
    name,
    fields,
    tlvs,
    encode: (value) => {
      const values = value as unknown as Record<string, unknown>
      let i = 0
      try {
        return written((w) => {
          w.u16(typeNumber)
          for (; i < codecs.length; i++) codecs[i]!.encode(w, values[names[i]!])
          stream.encode(w, values as TlvValues<T>)
        })
      } catch (e) {
        throw wireErrorAt(`${name}.${names[i] ?? 'tlvs'}`, e)
      }
    },
    decode: (r) => {
      const values: Record<string, unknown> = { type: name }
      let i = 0
      try {
        for (; i < codecs.length; i++) values[names[i]!] = codecs[i]!.decode(r)
        if (r.remaining > 0) stream.decode(r, values)
      } catch (e) {
        throw wireErrorAt(`${name}.${names[i] ?? 'tlvs'}`, asTlvError(e, i === codecs.length))
      }
      return values as unknown as MessageValue<Name, F, T>
    },
  }
}

const asTlvError = (e: unknown, inTlvs: boolean): unknown =>
  inTlvs && e instanceof WireError ? new WireError('tlv', e.message) : e
