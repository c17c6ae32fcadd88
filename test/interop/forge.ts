import { HDKey } from '@scure/bip32'
import { fromHex } from '../../src/base/bytes.ts'
import { paymentHash } from '../../src/base/ids.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice, type InvoiceRequest } from '../../src/invoice/bolt11.ts'

/** An invoice that LDK never made, signed with its key: the same as `of`, but for the changes. */
export function forgeInvoice(seed: string, of: string, changes: Partial<InvoiceRequest>): string {
  const key = HDKey.fromMasterSeed(fromHex(seed)).derive("m/0'").privateKey!
  const { descriptionHash: _, ...invoice } = decodeInvoice(of)
  return createInvoice({ ...invoice, ...changes }, (digest) => crypto.ecdsaSignRecoverable(digest, key))
}

export const UNKNOWN_HASH = paymentHash('ab'.repeat(32))
