import { beforeAll, describe, expect, it } from 'vitest'
import { type Ending, Life } from './life.ts'
import { type Name, nodeIdOf, type Snapshot, World } from './world.ts'

/**
 * A short life of two channels, part by part. Each part is lived again and again, with the disk of one node failing at its first
 * write, its second, and so on until the part is over before it fails. Whatever was lost, what follows must come out the same.
 */
interface Part {
  readonly name: string
  /** Whose disk fails. */
  readonly victims: readonly Name[]
  /** Where the part begins, from where the one before began. */
  readonly before: (world: World) => Promise<void>
  /** What people do, as far as their node answers. */
  readonly act: (life: Life) => Promise<void>
  /** What they do again after a restart, if need be, and how it must end. */
  readonly after: (life: Life) => Promise<void>
}

const AMOUNT = 20_000_000
const CAPACITY = 1_000_000

const pay = (life: Life, from: Name, to: Name, amountMsat = AMOUNT): Promise<void> =>
  life.step({ tag: 'pay', from, to, amountMsat, kind: 'invoice' })

/** Every payment ended, and on both sides in the same way; then money can still be sent. */
async function payable(life: Life, from: Name, to: Name): Promise<void> {
  await life.world.settle()
  await pay(life, from, to)
  await life.world.settle()
  for (const p of life.payments) {
    const [outcome, received] = [await life.outcome(p), await life.received(p)]
    expect(outcome).not.toBe('pending')
    expect(received !== null).toBe(outcome === 'succeeded')
  }
  expect(await life.outcome(life.payments.at(-1)!)).toBe('succeeded')
  expect(life.openHtlcs()).toBe(0)
}

/** Between two nodes, and not over. */
const channelsOf = (world: World, name: Name, peer: Name) =>
  world
    .of(name)
    .node!.channels.ofPeer(nodeIdOf(peer))
    .filter((e) => e.state.tag !== 'closed')

/** One block at a time, each followed to its end. */
const mineSlowly = async ({ world }: Life, blocks: number): Promise<void> => {
  for (let i = 0; i < blocks; i++) await world.mine(1)
}

/** The channel is over for both: every satoshi of it is in a wallet, with the miners, or in an anchor. */
async function resolved(life: Life, name: Name, peer: Name, earlier = 0n): Promise<void> {
  const { world } = life
  const open = (of: Name, to: Name) => world.of(of).api.channels({ limit: 50 }, { peer: nodeIdOf(to) })
  for (const { items } of [await open(name, peer), await open(peer, name)])
    expect(items.map((c) => [c.state, c.waitsFor])).toEqual(items.map(() => ['closed', null]))
  const { items } = await world.of(name).api.channels({ limit: 50 }, { peer: nodeIdOf(peer) })
  const [channel, ...others] = items.filter((c) => c.closing !== null)
  expect(others).toEqual([])
  expect(earlier + life.gainedOnchain()).toBe(channel!.capacitySat)
}

/** Alice's payment to carol waits at her, and bob closes his channel with her; carol takes the money. */
async function closeUnderPayment(life: Life): Promise<void> {
  const { world } = life
  await life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat: AMOUNT, kind: 'hold' })
  await world.settle()
  await life.step({ tag: 'close', who: 'bob', peer: 'carol', force: true })
  await life.step({ tag: 'decide', pick: 0, settle: true })
  await world.settle()
  await mineSlowly(life, 7)
}

let claimedBefore = 0n
const parts: readonly Part[] = [
  {
    name: 'a channel is opened',
    victims: ['alice', 'bob'],
    before: (world) => world.fund(),
    async act({ world }) {
      const { service } = world.of('alice')
      service
        ?.openChannel({
          peer: nodeIdOf('bob'),
          capacitySat: BigInt(CAPACITY) as never,
          pushMsat: 0n as never,
        })
        .catch(() => {})
      await world.settle()
      await world.mine(1)
      await world.mine(5)
    },
    async after(life) {
      const { world } = life
      await world.mine(6)
      const open = channelsOf(world, 'alice', 'bob')
      if (open.length === 0) await world.open('alice', 'bob', CAPACITY)
      await pay(life, 'alice', 'bob', 200_000_000)
      await payable(life, 'bob', 'alice')
      expect(channelsOf(world, 'alice', 'bob').map((e) => e.state.tag)).toEqual(['normal'])
      expect(channelsOf(world, 'bob', 'alice').map((e) => e.state.tag)).toEqual(['normal'])
      expect(life.gainedOnchain()).toBe(-BigInt(CAPACITY))
      expect(world.of('alice').node!.wallet.state.locks.size).toBe(0)
    },
  },
  {
    name: 'payments go both ways, and the fee is raised',
    victims: ['alice', 'bob'],
    before: async (world) => {
      await world.open('alice', 'bob', CAPACITY, CAPACITY / 2)
    },
    async act(life) {
      await pay(life, 'alice', 'bob')
      await pay(life, 'bob', 'alice')
      await life.step({ tag: 'fee', who: 'alice', feeratePerKw: 1500 })
      await life.world.settle()
    },
    after: (life) => payable(life, 'bob', 'alice'),
  },
  {
    name: 'a payment is forwarded',
    victims: ['alice', 'bob', 'carol'],
    before: async (world) => {
      await world.open('bob', 'carol', CAPACITY, CAPACITY / 2)
    },
    async act(life) {
      await pay(life, 'alice', 'carol')
      await life.world.settle()
    },
    after: (life) => payable(life, 'carol', 'alice'),
  },
  {
    name: 'a channel is closed together',
    victims: ['alice', 'bob'],
    before: async () => {},
    async act(life) {
      await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: false })
      await life.world.settle()
      await mineSlowly(life, 3)
    },
    async after(life) {
      await life.step({ tag: 'close', who: 'alice', peer: 'bob', force: false })
      await life.world.settle()
      await life.world.mine(10)
      await resolved(life, 'alice', 'bob')
      await payable(life, 'bob', 'carol')
    },
  },
  {
    name: 'a channel is closed by force under a payment',
    victims: ['bob', 'carol'],
    before: async () => {},
    act: closeUnderPayment,
    async after(life) {
      await life.step({ tag: 'close', who: 'bob', peer: 'carol', force: true })
      await life.mineToTheEnd()
      await resolved(life, 'bob', 'carol')
      await payable(life, 'bob', 'alice')
    },
  },
  {
    name: 'what a close by force left is claimed',
    victims: ['bob', 'carol'],
    async before(world) {
      const life = new Life(world)
      await closeUnderPayment(life)
      await world.mine(2)
      claimedBefore = life.gainedOnchain()
    },
    act: (life) => mineSlowly(life, 8),
    async after(life) {
      await life.mineToTheEnd()
      await resolved(life, 'bob', 'carol', claimedBefore)
      await payable(life, 'bob', 'alice')
    },
  },
]

const endings: readonly Ending[] = [{ how: 'lost' }, { how: 'kept' }]

describe('a store that fails at any write', () => {
  const bases: Snapshot[] = []
  beforeAll(async () => {
    let snapshot: Snapshot | null = null
    for (const part of parts) {
      const world: World = await World.start(undefined, snapshot)
      await part.before(world)
      snapshot = world.snapshot()
      bases.push(snapshot)
      world.close()
    }
  })

  parts.forEach((part, i) => {
    describe(part.name, () => {
      for (const victim of part.victims) {
        for (const ending of endings) {
          it(`${victim} starts again after each write that was ${ending.how}`, async () => {
            for (let n = 1, died = true; died; n++) {
              const life = await Life.begin(bases[i]!)
              try {
                const run = life.world.of(victim).disk
                life.doom(victim, n, ending)
                await part.act(life)
                died = run.dead
                await life.finish()
                await part.after(life)
                expect(life.complaints()).toEqual([])
              } catch (e) {
                throw new Error(`${part.name}, ${victim}, at write ${n}: ${e}`, { cause: e })
              } finally {
                life.world.close()
              }
            }
          })
        }
      }
    })
  })
})
