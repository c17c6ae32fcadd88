// Opens a channel of a million satoshis and waits until it can be used: openChannel.ts nodeId@host:port
import { FulmenClient } from 'fulmen/client'

const fulmen = new FulmenClient({ url: process.env.FULMEN_URL!, key: process.env.FULMEN_KEY! })
const { nodeId } = await fulmen.peers.connect(process.argv[2]!)
const since = await fulmen.lastEventId()
const { id, funding } = await fulmen.channels.open({ peer: nodeId, capacitySat: 1_000_000 })
console.log(`waiting for ${funding}`)
for await (const { data } of fulmen.events({ types: ['channel.ready'], since })) if (data.id === id) break
console.log(`${(await fulmen.channels.get(id)).sendableMsat} msat can be sent`)
