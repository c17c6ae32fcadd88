// Every payment that succeeded, page by page, and what they cost together.
import { allOf, FulmenClient } from 'fulmen/client'

const fulmen = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
let feeMsat = 0
for await (const payment of allOf((page) => fulmen.payments.list({ ...page, status: 'succeeded' }))) {
  console.log(payment.createdAt, payment.amountMsat)
  feeMsat += payment.feeMsat
}
console.log(`fees ${feeMsat} msat`)
