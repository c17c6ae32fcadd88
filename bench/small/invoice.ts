import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { createInvoice, decodeInvoice } from '../../src/invoice/bolt11.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const secret = new Uint8Array(32).fill(1)
const REQUEST = {
  network: 'regtest',
  amountMsat: msat(1_000_000),
  timestamp: 1_700_000_000,
  paymentHash: 'ab'.repeat(32) as PaymentHash,
  paymentSecret: new Uint8Array(32).fill(2),
  description: 'a cup of coffee',
  expirySeconds: 3600,
} as const

export function invoiceSuite(): Promise<Suite> {
  const create = () => createInvoice(REQUEST, (hash) => crypto.ecdsaSignRecoverable(hash, secret))
  const text = create()
  return timeSuite('Invoices (BOLT 11)', [
    task({ name: 'create', run: create, expect: text }),
    task({
      name: 'decode',
      run: () => decodeInvoice(text),
      expect: (invoice) => invoice.paymentHash === REQUEST.paymentHash && invoice.description === REQUEST.description,
    }),
  ])
}
