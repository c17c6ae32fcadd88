// Sends coins on chain and raises the fee while they wait: sendOnChain.ts ADDRESS SATOSHIS
import { FulmenClient } from 'fulmen/client'

const fulmen = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
const [address, amountSat] = [process.argv[2]!, Number(process.argv[3])]
const sent = await fulmen.wallet.send({ outputs: [{ address, amountSat }], feerateSatPerVbyte: 2 })
console.log(`${sent.txid} pays ${sent.feeSat} sat`)
const sooner = await fulmen.wallet.bump(sent.txid, { feerateSatPerVbyte: 10 })
console.log(`${sooner.txid} pays ${sooner.feeSat} sat in its place`)
