// Pays an invoice, and shows what it cost: pay.ts lnbcrt…
import { FulmenClient } from 'fulmen/client'

const fulmen = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
const payment = await fulmen.payments.send({ bolt11: process.argv[2]!, maxFeeMsat: 5_000 }, { wait: 60 })
if (payment.status === 'succeeded') console.log(`paid ${payment.amountMsat} msat for ${payment.feeMsat} msat`)
else console.log(payment.failure?.detail ?? 'still under way')
