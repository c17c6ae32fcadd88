// Makes an invoice and waits for its payment, also across a lost connection or a restart of the node.
import { FulmenClient } from 'fulmen/client'

const fulmen = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
const since = await fulmen.lastEventId()
const { bolt11, paymentHash } = await fulmen.invoices.create({ amountMsat: 250_000, description: 'tea' })
console.log(bolt11)
for await (const { data } of fulmen.events({ types: ['invoice.settled'], since })) {
  if (data.paymentHash !== paymentHash) continue
  console.log('paid')
  break
}
