import { bech32 } from '@scure/base'
import { OfferError } from './errors.ts'

export type Bolt12Kind = 'offer' | 'invoiceRequest' | 'invoice'

const KIND_OF: Readonly<Record<string, Bolt12Kind>> = { lno: 'offer', lnr: 'invoiceRequest', lni: 'invoice' }
const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
/** Of a text, whitespace included: 10 kB of fields, several times what an invoice with many paths takes. */
export const MAX_LENGTH = 16_384

/** Whether a text means to be one of BOLT 12: what it begins with, wherever it is broken. */
export const isBolt12Text = (text: string): boolean => /^(lightning:)?ln[ori]1/i.test(text.replace(/[+\s]/g, ''))

/**
 * The kind of a text by its prefix, and the bytes in it; `lightning:` in front, and `+` with whitespace between two parts, are taken out.
 * @throws OfferError ('format')
 * @source BOLT 12 §encoding
 */
export function readText(text: string): { readonly kind: Bolt12Kind; readonly bytes: Uint8Array } {
  if (text.length > MAX_LENGTH) throw new OfferError('format', `longer than ${MAX_LENGTH} characters`)
  const joined = text
    .trim()
    .replace(/^lightning:/i, '')
    .replace(/(?<=[a-z0-9])\+\s*(?=[a-z0-9])/gi, '')
  if (joined !== joined.toLowerCase() && joined !== joined.toUpperCase()) {
    throw new OfferError('format', 'mixes upper and lower case, which bech32 forbids')
  }
  const lower = joined.toLowerCase()
  const kind = lower[3] === '1' ? KIND_OF[lower.slice(0, 3)] : undefined
  if (kind === undefined) throw new OfferError('format', 'begins with none of lno1, lnr1 and lni1')
  const words = Array.from(lower.slice(4), (character) => ALPHABET.indexOf(character))
  const stranger = words.indexOf(-1)
  if (stranger >= 0) throw new OfferError('format', misplaced(lower.charAt(4 + stranger)))
  const bytes = bech32.fromWordsUnsafe(words)
  if (!bytes) throw new OfferError('format', 'ends within a byte: check whether its end was lost')
  return { kind, bytes: Uint8Array.from(bytes) }
}

const misplaced = (character: string): string =>
  character === '+'
    ? 'has a + that does not stand between two parts of it'
    : `"${/\s/.test(character) ? 'a space' : character}" does not occur in such a text: check it for a typing error`
