import { toHex, u32be } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { crypto } from '../../src/crypto/crypto.ts'

const preimageOf = (n: number): Uint8Array => crypto.sha256(u32be(n))
/** What the onion of a payment would say: whose it is. The hash stands for the onion here, and may come more than once. */
export type Purpose = 'to-peer' | 'invoice' | 'hold' | 'forward'
export interface Payment {
  readonly n: number
  readonly purpose: Purpose
  readonly hash: PaymentHash
  readonly preimage: Uint8Array
}
/** Payments by hash. */
export class Book {
  readonly payments = new Map<PaymentHash, Payment>()
  add(purpose: Purpose): Payment {
    const n = this.payments.size
    const preimage = preimageOf(n)
    const payment = { n, purpose, preimage, hash: toHex(crypto.sha256(preimage)) as PaymentHash }
    this.payments.set(payment.hash, payment)
    return payment
  }
  clone(): Book {
    const copy = new Book()
    for (const [k, v] of this.payments) copy.payments.set(k, v)
    return copy
  }
}
