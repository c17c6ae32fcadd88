// A key that may receive and not spend; the SDK moves to its next version by itself when the node asks for it.
import { FulmenClient } from 'fulmen/client'

const admin = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
const { secret } = await admin.keys.create({ name: 'shop', preset: 'invoice', rotateEverySeconds: 30 * 24 * 3_600 })
const onKey = (next: string) => console.log(`from now on ${next.length} other characters`) // keep it where the shop starts from
const shop = new FulmenClient({ url: process.env.FULMEN_URL!, key: secret, onKey })
await shop.keys.rotateSelf()
console.log((await shop.invoices.create({ amountMsat: 1_000, description: 'a cup' })).status)
