import { createHash } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { type Name, nodeIdOf } from '../node/world.ts'
import type { Kind } from './kindOf.ts'
import { BOTH, Ground, makeBase } from './realGround.ts'
import { BITCOIND } from './realNode.ts'

/** More than a mempool takes that build on each other, with one coin to pay for all of them. */
const EACH_WAY = 60
const AMOUNT = msat(30_000_000n)
const COIN = sat(3_000_000n)
let ground: Ground

if (!BITCOIND) console.warn('LEFT OUT: no real node saw many HTLCs at once, because FULMEN_BITCOIND names no bitcoind')

const sha256 = (data: Uint8Array | string): Uint8Array => new Uint8Array(createHash('sha256').update(data).digest())

interface Held {
  readonly to: Name
  readonly hash: PaymentHash
  readonly preimage: Uint8Array
}

async function hold(from: Name, to: Name, n: number): Promise<Held> {
  const { world } = ground
  const preimage = sha256(`${from} ${n}`)
  const hash = toHex(sha256(preimage)) as PaymentHash
  const { bolt11 } = (await world.attempt(world.of(to).api.createInvoice({ amountMsat: AMOUNT, paymentHash: hash })))!
  world
    .of(from)
    .api.pay({ bolt11 })
    .catch(() => {})
  return { to, hash, preimage }
}

/** All that the wallet of bob's has is one coin. */
async function leaveOneCoin(): Promise<void> {
  const { world } = ground
  const [bob, alice] = [world.of('bob').api, world.of('alice').api]
  await bob.sendOnChain({ outputs: [{ address: (await bob.newAddress()).address, amountSat: COIN }] })
  await world.mine(1)
  const rest = (await bob.utxos()).filter((c) => c.amountSat !== COIN).map((c) => c.outpoint)
  await bob.sendOnChain({ outputs: [{ address: (await alice.newAddress()).address, amountSat: 'all' }], utxos: rest })
  await world.mine(1)
  expect((await bob.utxos()).map((c) => c.amountSat)).toEqual([COIN])
}

/** How many of a kind each of so many blocks has. */
async function minedPerBlock(kind: Kind, blocks: number): Promise<readonly number[]> {
  const mined: number[] = []
  for (let i = 0, before = ground.count(kind).mined; i < blocks; i++) {
    await ground.world.mine(1)
    const now = ground.count(kind).mined
    mined.push(now - before)
    before = now
  }
  return mined
}

afterEach(() => ground?.end())

it.skipIf(!BITCOIND)(
  'a close by force with 60 HTLCs each way, paid for by a single coin: a real Bitcoin node refuses nothing, and all are claimed within blocks (left out unless FULMEN_BITCOIND names one)',
  async () => {
    ground = await Ground.begin(await makeBase())
    const { life, world, real } = ground
    await ground.open('anchors', 10_000_000n, 5_000_000n)
    await leaveOneCoin()
    const held: Held[] = []
    for (let n = 0; n < EACH_WAY; n++) held.push(await hold('alice', 'bob', n), await hold('bob', 'alice', n))
    await world.settle()
    const { incoming, outgoing } = channelOf(ground.entry('bob').state)!.commitments
    expect([incoming.size, outgoing.size]).toEqual([EACH_WAY, EACH_WAY])

    world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
    const { api } = world.of('bob')
    for (const { to, hash, preimage } of held) {
      if (to === 'bob') await world.attempt(api.settleInvoice(hash, preimage))
    }
    await ground.force('bob')
    await world.mine(1)
    // Bitcoin Core before 31 takes 25 that build on each other; the first of them has left its change in several coins.
    const [first, ...others] = await minedPerBlock('HTLC-success', 2)
    expect(first).toBeGreaterThan(20)
    expect(others).toEqual([EACH_WAY - first!])

    const expiry = outgoing.chunks[0]![0]!.add.cltvExpiry
    while (world.chain.state.height < expiry) await world.mine(1)
    expect(await minedPerBlock('HTLC-timeout', 1)).toEqual([EACH_WAY])

    await life.mineToTheEnd()
    for (const name of BOTH) expect(ground.entry(name).state.tag).toBe('closed')
    for (const { to, hash } of held) {
      expect((await world.of(to).api.invoice(hash)).status).toBe(to === 'bob' ? 'settled' : 'cancelled')
    }
    expect(real.refused).toEqual([])
    expect(real.differences).toEqual([])
  },
)
