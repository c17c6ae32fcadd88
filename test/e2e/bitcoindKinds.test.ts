import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { encodeAddress } from '../../src/bitcoin/address.ts'
import { txidOf } from '../../src/bitcoin/transaction.ts'
import { channelOf } from '../../src/channel/describe.ts'
import type { CloseChannelRequest } from '../../src/node/service.ts'
import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { TRUE_OUTPUT } from '../chain/embedded/harness.ts'
import { type Balances, onchainSat } from '../node/accounts.ts'
import { Disk } from '../node/disk.ts'
import { type Name, nodeIdOf, type Snapshot } from '../node/world.ts'
import type { Kind } from './kindOf.ts'
import { BOTH, Ground, makeBase, SMALL_MEMPOOL } from './realGround.ts'
import { BITCOIND } from './realNode.ts'

const CAPACITY = 1_000_000n
const PUSHED = 400_000n
const TYPES = ['anchors', 'static_remotekey'] as const
/** Long enough for penalties to wait in one transaction before they must be apart. */
const LONG_DELAY = 30
let base: Snapshot
let ground: Ground

if (!BITCOIND) {
  console.warn('LEFT OUT: no real node judged our transactions, because FULMEN_BITCOIND names no bitcoind')
}

/** Each of these kinds was in the real node's mempool, and then in a block that it took. */
function expectMined(...kinds: readonly Kind[]): void {
  for (const kind of kinds) expect(ground.count(kind).mined, kind).toBeGreaterThan(0)
}

/** The two chains never disagreed, and nothing that a node published was refused, but for what the test knows of. */
function expectAgreement(refusals: readonly string[] = []): void {
  expect(ground.real.differences).toEqual([])
  const unknown = ground.real.refused.filter((r) => !refusals.some((known) => JSON.stringify(r.answer).includes(known)))
  expect(unknown).toEqual([])
}

/** What the channel held is shared out as its payments say, less what went to miners and lies in anchors. */
async function expectShares(before: Balances, costBefore = 0n): Promise<void> {
  const { life, world } = ground
  const moved = { alice: -PUSHED, bob: PUSHED, carol: 0n }
  for (const p of life.payments) {
    if ((await life.outcome(p)) !== 'succeeded') continue
    moved[p.payer] -= p.amountMsat / 1000n
    moved[p.payee] += p.amountMsat / 1000n
  }
  const after = onchainSat(world)
  const costs = BOTH.map((name) => before[name] + moved[name] - after[name])
  for (const cost of costs) expect(cost).toBeGreaterThanOrEqual(0n)
  expect(costs.reduce((a, b) => a + b)).toBe(life.costSat() - costBefore)
}

/** Of all payments, in the order in which they were made, by what the payers say. */
const outcomes = (): Promise<readonly string[]> => Promise.all(ground.life.payments.map((p) => ground.life.outcome(p)))

describe.skipIf(!BITCOIND)(
  'what we publish, before a real Bitcoin node with the policy that nodes have (left out unless FULMEN_BITCOIND names one)',
  () => {
    beforeAll(async () => {
      base ??= await makeBase()
    })
    afterEach(() => ground?.end())

    /** Alice's channel with bob: 600,000 sat hers, 400,000 his. */
    const open = (type: (typeof TYPES)[number] = 'anchors') => ground.open(type, CAPACITY, PUSHED)
    const ask = async (name: Name, request: CloseChannelRequest = {}): Promise<void> => {
      await ground.world.attempt(ground.world.of(name).api.closeChannel(ground.entry(name).meta.localId, request))
      await ground.world.settle()
    }

    it('the wallet’s: sent, replaced, and signed as PSBT', async () => {
      ground = await Ground.begin(base)
      const { world } = ground
      const alice = world.of('alice').api
      const { address } = await world.of('bob').api.newAddress()
      const others = [TRUE_OUTPUT, Uint8Array.of(0x51, 0x20, ...new Uint8Array(32).fill(2))]
      const outputs = [
        { address, amountSat: sat(400_000n) },
        ...others.map((s) => ({ address: encodeAddress(s, 'regtest')!, amountSat: sat(330n) })),
      ]
      const sent = await alice.sendOnChain({ outputs, feerateSatPerVbyte: 1 })
      await world.settle()
      const replaced = await alice.bumpTransaction(sent.txid, { feerateSatPerVbyte: 5 })
      await world.settle()
      const psbt = await alice.psbt.create({ outputs: [{ address, amountSat: sat(10_000n) }] })
      const signed = await alice.psbt.finalise(
        Buffer.from((await alice.psbt.sign(Buffer.from(psbt.psbt, 'base64'))).psbt, 'base64'),
      )
      const third = await alice.psbt.broadcast(Buffer.from(signed.psbt, 'base64'))
      await world.settle()
      for (const txid of [sent.txid, replaced.txid, third]) expect(ground.real.seen.has(txid as Txid)).toBe(true)
      await world.mine(1)
      const mined = [...ground.real.seen].filter(([, s]) => s.mined).map(([id]) => id)
      expect(mined.sort()).toEqual([replaced.txid, third].sort())
      expectAgreement()
    })

    it('funding, and cooperative closes of both kinds: with option_simple_close also raised', async () => {
      ground = await Ground.begin(base)
      const { world, life, real } = ground
      for (const legacy of [false, true]) {
        if (legacy) {
          const older = featureBits(ourInitFeatures()).filter((bit) => bit !== FEATURES.option_simple_close.bit + 1)
          for (const name of BOTH) world.wire.offers.set(nodeIdOf(name), featuresFromBits(older))
          world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
          world.connectAll()
          await world.settle()
        }
        const [before, cost] = [onchainSat(world), life.costSat()]
        await open()
        const { funding } = channelOf(ground.entry('alice').state)!.commitments.active[0]!
        expect(real.seen.get(funding.txid)?.mined).toBe(true)
        const earlier = ground.count('mutual close')
        await ask('alice')
        if (!legacy) {
          await ask('alice', { feerateSatPerVbyte: 9 })
          ground.believe('bob', { closing: 5_000, claim: 8_000, slow: 5_000 })
          await ground.mineNothing()
        }
        await world.mine(6)
        const now = ground.count('mutual close')
        expect(now.seen - earlier.seen).toBe(legacy ? 1 : 3)
        expect(now.mined - earlier.mined).toBe(1)
        for (const name of BOTH) expect(ground.entry(name).state.tag).toBe('closed')
        await expectShares(before, cost)
      }
      // Of two that pay as much, one for each side, the first stays.
      expectAgreement(['insufficient fee'])
    })

    it.each(TYPES.flatMap((type) => BOTH.map((closer) => [type, closer] as const)))(
      'a close by force with HTLCs in both directions: %s, by %s',
      async (type, closer) => {
        ground = await Ground.begin(base)
        const { life, world, real } = ground
        const before = onchainSat(world)
        await open(type)
        await ground.holdFour()
        world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
        await ground.force(closer)
        await world.mine(1)
        await ground.settleHeld(0)
        await ground.settleHeld(1)
        expect(await outcomes()).toEqual(['pending', 'pending', 'pending', 'pending'])
        // The preimages are in the mempool alone, and that is enough.
        await ground.mineNothing()
        expect(await outcomes()).toEqual(['succeeded', 'succeeded', 'pending', 'pending'])
        for (const kind of ['HTLC-success', 'claim by preimage'] as const) expect(ground.count(kind).mined).toBe(0)
        await world.mine(1)
        await world.reorg(2)
        await life.mineToTheEnd()
        expect(await outcomes()).toEqual(['succeeded', 'succeeded', 'failed', 'failed'])
        expectMined('commitment', 'HTLC-success', 'HTLC-timeout', 'claim by preimage', 'claim by timeout')
        expectMined('to_local', 'second-stage output', 'to_remote')
        for (const s of [...real.of('HTLC-success'), ...real.of('HTLC-timeout')]) {
          expect(s.kinds.has('wallet')).toBe(type === 'anchors')
        }
        for (const name of BOTH) expect(ground.entry(name).state.tag).toBe('closed')
        await expectShares(before)
        expectAgreement()
      },
    )
  },
)

describe.skipIf(!BITCOIND)(
  'fees, penalties and a full mempool, before a real Bitcoin node (left out unless FULMEN_BITCOIND names one)',
  () => {
    let patient: Snapshot
    beforeAll(async () => {
      base ??= await makeBase()
      patient = await makeBase({ toSelfDelay: LONG_DELAY })
    })
    afterEach(() => ground?.end())

    it('an HTLC claimed in time through full blocks: the commitment’s child and the HTLC transaction are replaced until they are mined', async () => {
      ground = await Ground.begin(base)
      const { life, world } = ground
      const before = onchainSat(world)
      await ground.open('anchors', CAPACITY, PUSHED)
      await life.step({ tag: 'pay', from: 'alice', to: 'bob', amountMsat: 200_000_000, kind: 'hold' })
      await world.settle()
      world.crash('alice')
      await ground.settleHeld(0)
      const { cltvExpiry } = channelOf(ground.entry('bob').state)!.commitments.incoming.chunks[0]![0]!.add
      let isClosed = false
      while (world.chain.state.height < cltvExpiry) {
        await ground.mineAbove(isClosed ? 9_000 : 250)
        isClosed ||= ground.onchain('bob') !== null
      }
      expect(ground.onchain('bob')!.outputs.find((o) => o.htlc)!.spent?.height).toBeLessThanOrEqual(cltvExpiry)
      for (const kind of ['anchor', 'HTLC-success'] as const) {
        const { seen, mined } = ground.count(kind)
        expect(seen, kind).toBeGreaterThan(2)
        expect(mined, kind).toBe(1)
      }
      await world.boot('alice')
      await life.mineToTheEnd()
      await expectShares(before)
      expectAgreement()
    })

    it.each([
      ['stays where the second pays hardly more, and both help it', 5_200, 'bob'],
      ['gives way to a second that pays for it', 9_000, 'alice'],
    ] as const)('both sides close at once: the package that came first %s', async (_, feerate, winner) => {
      ground = await Ground.begin(base)
      const { life, world, real } = ground
      const before = onchainSat(world)
      await ground.open('anchors', CAPACITY, PUSHED)
      world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
      ground.believe('bob', { slow: 5_000, claim: 5_000, closing: 5_000 })
      ground.believe('alice', { slow: feerate, claim: feerate, closing: feerate })
      await ground.force('bob')
      await ground.force('alice')
      const own = BOTH.map((name) => ground.onchain(name)!.closing.txid)
      const [theirs, ours] = winner === 'alice' ? own : own.toReversed()
      expect(theirs).not.toBe(ours)
      await life.mineToTheEnd()
      expect(ground.count('commitment').mined).toBe(1)
      expect(real.seen.get(theirs!)?.mined).toBe(true)
      expectMined('anchor', 'to_local', 'to_remote')
      await expectShares(before)
      expectAgreement(['insufficient fee', 'package RBF failed'])
    })

    describe.each(TYPES)('a revoked commitment: %s', (type) => {
      /** Alice is back at a state with an HTLC of hers and one of bob's that she can claim, which she then revoked. */
      const cheat = async (): Promise<void> => {
        ground = await Ground.begin(patient, { toSelfDelay: LONG_DELAY })
        const { life, world } = ground
        await ground.open(type, CAPACITY, PUSHED)
        for (const [from, to] of [
          ['alice', 'bob'],
          ['bob', 'alice'],
        ] as const) {
          await life.step({ tag: 'pay', from, to, amountMsat: 100_000_000, kind: 'hold' })
          await world.settle()
        }
        const old = world.of('alice').disk.snapshot()
        await ground.settleHeld(0)
        await ground.settleHeld(1)
        world.crash('alice')
        world.of('alice').disk = new Disk(old, () => {})
      }

      /** All of the channel is bob's, but what went to miners for it. */
      const expectPunished = (before: Balances, costBefore: bigint): void => {
        const after = onchainSat(ground.world)
        const lost = before.alice - after.alice
        expect(lost).toBeGreaterThanOrEqual(0n)
        expect(after.bob - before.bob).toBe(CAPACITY + lost - (ground.life.costSat() - costBefore))
        for (const name of BOTH) expect(ground.entry(name).state.tag).toBe('closed')
      }

      it('penalties that share transactions are mined', async () => {
        await cheat()
        const { world, life } = ground
        await world.boot('alice')
        const [before, cost] = [onchainSat(world), life.costSat()]
        await ground.force('alice')
        await world.mine(1)
        await life.mineToTheEnd()
        expectMined('penalty of to_local', 'penalty of an HTLC', 'to_remote')
        expect(ground.real.of('penalty of an HTLC').map((s) => s.tx.inputs.length)).toEqual([2])
        expectPunished(before, cost)
        expectAgreement()
      })

      it('penalties that do not confirm are raised, and then split', async () => {
        await cheat()
        const { world, life, real } = ground
        await world.boot('alice')
        const [before, cost] = [onchainSat(world), life.costSat()]
        await ground.force('alice')
        await world.mine(1)
        await ground.mineNothing(LONG_DELAY - 16)
        const shapes = real.of('penalty of an HTLC').map((s) => s.tx.inputs.length)
        expect(shapes).toEqual([2, 2, 1, 1])
        expect(ground.count('penalty of to_local').mined).toBe(0)
        expect(ground.count('penalty of to_local').seen).toBeGreaterThan(2)
        await life.mineToTheEnd()
        expect(real.of('penalty of an HTLC').map((s) => s.mined)).toEqual([false, false, true, true])
        expectMined('penalty of to_local')
        expectPunished(before, cost)
        expectAgreement()
      })

      it('penalties of second stages that were faster', async () => {
        await cheat()
        const { world, life } = ground
        const [bob, cost] = [onchainSat(world).bob, life.costSat()]
        world.crash('bob')
        await world.boot('alice')
        const before = { ...onchainSat(world), bob }
        await ground.force('alice')
        await world.mine(1)
        await ground.settleHeld(1)
        await world.mine(1)
        expectMined('HTLC-success')
        await world.boot('bob')
        await world.settle()
        await life.mineToTheEnd()
        expectMined('penalty of to_local', 'penalty of an HTLC', 'penalty of a second stage', 'to_remote')
        expectPunished(before, cost)
        // While bob catches up he does not know yet what the second block spent.
        expectAgreement(['bad-txns-inputs-missingorspent'])
      })
    })

    it.each([
      ['a confirmed coin', false],
      ['change that waits for a block itself', true],
    ])(
      'a full mempool: a commitment that it refuses by itself comes in with a child that spends %s, and what follows pays enough',
      async (_, isSpent) => {
        ground = await Ground.begin(base, {}, SMALL_MEMPOOL)
        const { life, world, real } = ground
        const before = onchainSat(world)
        await ground.open('anchors', CAPACITY, PUSHED)
        await ground.holdFour()
        world.wire.cut(nodeIdOf('alice'), nodeIdOf('bob'))
        await ground.crowd()
        // They ask for estimates when they start.
        for (const name of BOTH) await world.restart(name)
        await world.settle()
        if (isSpent) await ground.spendAll('bob')
        await ground.force('bob')
        const [commitment] = real.of('commitment')
        expect(real.helped).toContain(txidOf(commitment!.tx))
        await world.mine(1)
        await ground.settleHeld(0)
        await ground.settleHeld(1)
        await life.mineToTheEnd()
        expectMined('commitment', 'anchor', 'HTLC-success', 'HTLC-timeout', 'claim by preimage', 'claim by timeout')
        expectMined('to_local', 'second-stage output', 'to_remote')
        await expectShares(before)
        // A Bitcoin node before Core 30 wants to be given the parents that wait, too: it is, when it says so.
        expectAgreement(isSpent ? ['package-not-child-with-unconfirmed-parents'] : [])
      },
    )
  },
)
