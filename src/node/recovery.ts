import { unpack } from '../base/pack.ts'
import { watches } from '../channel/describe.ts'
import { loadChannel } from '../channel/persist.ts'
import { keys, prefixRange } from '../store/schema.ts'
import type { ChannelMeta } from './channels.ts'
import { fundingOwner } from './effects.ts'
import { holdingsOf, watchedFrom } from './holdings.ts'
import type { Node } from './node.ts'

/** Reads every channel from the store. */
export async function loadChannels(node: Node): Promise<void> {
  const { driver, channels } = node
  for await (const [, value] of driver.entries(prefixRange(keys.channelMeta('')))) {
    const meta = unpack<ChannelMeta>(value)
    const prefix = keys.channel(meta.localId, '')
    const records: [string, Uint8Array][] = []
    for await (const [key, record] of driver.entries(prefixRange(prefix)))
      records.push([key.slice(prefix.length), record])
    const state = loadChannel(records)
    channels.restore({ meta, signer: node.signerFor(meta), state, stored: state, quarantined: null })
    node.reserveNumbers(meta)
  }
  const reserved = await driver.get(keys.keyIndex)
  if (reserved) node.reserveNumbers({ keyIndex: unpack<number>(reserved) - 1, seq: 0 })
}

/**
 * Brings everything in line after a start: channels go offline, watches are set, the payments learn what the channels know, and
 * what should be in the mempool goes there again. Right even if the last batch was cut apart by channel.
 */
export async function recover(node: Node): Promise<void> {
  const { channels, chain, payments, wallet, effects, reactor } = node
  const entries = channels.all()
  node.proof.begin(entries)
  await payments.recall(holdingsOf(entries))
  const { height, hash } = chain.tip
  await reactor.run((scope) => {
    wallet.rollback(height, hash)
    for (const entry of entries) {
      channels.deliver(entry, { tag: 'disconnected' })
      channels.deliver(entry, { tag: 'chain', event: { tag: 'reorg', height } })
      chain.watch(entry.meta.localId, watches(entry.state), scope, watchedFrom(entry.state))
    }
    channels.drain(scope)
    channels.replayResults(scope)
    // What the lost connections left unbound is gone by now.
    payments.recover(holdingsOf(entries), scope)
    channels.drain(scope)
    channels.replayResults(scope)
    channels.replayIncoming(scope)
    for (const entry of entries) effects.republish(entry, scope)
    wallet.releaseUnless((owner) => entries.some((e) => fundingOwner(e) === owner))
    for (const tx of wallet.unconfirmed()) scope.after(() => void node.broadcast(tx, 'wallet').catch(() => {}))
  })
}
