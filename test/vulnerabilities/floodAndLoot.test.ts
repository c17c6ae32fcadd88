import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat } from '../../src/base/units.ts'
import type { MempoolEntry } from '../../src/chain/embedded/mempoolEntry.ts'
import { selectTransactions } from '../../src/chain/embedded/miner.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { crypto } from '../../src/crypto/crypto.ts'
import { NOBODY, World } from '../node/world.ts'

const CHANNELS = 3
const HTLCS = 9
const AMOUNT = 150_000n

/** A block that is full: it has room for few transactions, those that pay most, and for none that pays less than the floor. */
async function mineFull(
  world: World,
  { floor, room }: { readonly floor: number; readonly room: number },
): Promise<void> {
  const rate = (family: readonly MempoolEntry[]): number =>
    (family.reduce((sum, e) => sum + Number(e.fee), 0) * 1_000) / family.reduce((sum, e) => sum + e.weight, 0)
  const families = [...world.chain.mempool.entries()].map((e) => [...e.parents, e])
  const chosen = new Set<MempoolEntry>()
  for (const family of families.sort((a, b) => rate(b) - rate(a))) {
    const more = family.filter((e) => !chosen.has(e))
    if (rate(family) < floor || chosen.size + more.length > room) continue
    for (const e of more) chosen.add(e)
  }
  world.chain.mineExactly(
    selectTransactions(chosen).map((e) => e.txid),
    NOBODY,
  )
  await world.settle()
}

describe('flood and loot (2020): a peer lets HTLCs hang in many channels, and is gone', () => {
  it('all are claimed before they expire, through blocks that are full of what pays more than any estimate', async () => {
    const world = await World.start(['alice', 'bob'])
    await world.fund(CHANNELS + 1)
    for (let n = 0; n < CHANNELS; n++) await world.open('alice', 'bob', 1_000_000, 100_000)
    const { api } = world.of('bob')
    const preimages = Array.from({ length: HTLCS }, (_, n) => new Uint8Array(32).fill(n + 1))
    const hashOf = (preimage: Uint8Array) => toHex(crypto.sha256(preimage)) as PaymentHash
    for (const preimage of preimages) {
      const paymentHash = hashOf(preimage)
      const invoice = api.createInvoice({ amountMsat: msat(AMOUNT * 1_000n), description: '', paymentHash })
      const { bolt11 } = (await world.attempt(invoice))!
      void world.of('alice').api.pay({ bolt11 })
      await world.settle()
    }
    world.crash('alice')
    for (const preimage of preimages) await world.attempt(api.settleInvoice(hashOf(preimage), preimage))
    await world.settle()
    const entries = world.of('bob').node!.channels.all()
    const hung = entries.map((e) => [...channelOf(e.state)!.commitments.incoming.chunks.flat()])
    expect(hung.flat().length).toBe(HTLCS)
    expect(hung.filter((htlcs) => htlcs.length > 0).length).toBeGreaterThan(1)
    const expiry = Math.min(...hung.flat().map((h) => h.add.cltvExpiry))
    const isClosing = () => entries.some((e) => e.state.tag === 'closing')
    while (world.chain.state.height < expiry)
      await mineFull(world, isClosing() ? { floor: 5_000, room: 3 } : { floor: 0, room: 100 })
    const claimed = entries.flatMap(({ state }) =>
      state.tag === 'closing' ? state.onchain.outputs.flatMap((o) => (o.htlc ? [o.spent?.height ?? null] : [])) : [],
    )
    expect(claimed.length).toBe(HTLCS)
    for (const height of claimed) expect(height).not.toBeNull()
    // What it costs is less than what it saves.
    const fees = [...world.of('bob').node!.wallet.state.txs.values()].reduce((sum, t) => sum + (t.feeSat ?? 0n), 0n)
    expect(fees).toBeLessThan((AMOUNT * BigInt(HTLCS)) / 2n)
    world.close()
  })
})
