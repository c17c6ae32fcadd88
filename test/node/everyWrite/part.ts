import { beforeAll, describe, expect, it } from 'vitest'
import { type Ending, Life } from '../life.ts'
import { type Name, nodeIdOf, type Snapshot, type World } from '../world.ts'

/**
 * A part of the life of two channels. It is lived again and again, with the disk of one node failing at its first write, its second,
 * and so on until the part is over before it fails. Whatever was lost, what follows must come out the same.
 */
export interface Part {
  readonly name: string
  /** Whose disk fails. */
  readonly victims: readonly Name[]
  /** Where the part begins. */
  readonly base: () => Promise<Snapshot>
  /** How nodes are before anything happens, beyond what disks hold. */
  readonly prepare?: (world: World) => Promise<void>
  /** What people do, as far as their node answers. */
  readonly act: (life: Life) => Promise<void>
  /** What they do again after a restart, if need be, and how it must end. */
  readonly after: (life: Life) => Promise<void>
}

export const AMOUNT = 20_000_000
export const CAPACITY = 1_000_000

export const pay = (life: Life, from: Name, to: Name, amountMsat = AMOUNT): Promise<void> =>
  life.step({ tag: 'pay', from, to, amountMsat, kind: 'invoice' })

/** Every payment ended, and on both sides in the same way; then money can still be sent. */
export async function payable(life: Life, from: Name, to: Name): Promise<void> {
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

/** One block at a time, each followed to its end. */
export const mineSlowly = async ({ world }: Life, blocks: number): Promise<void> => {
  for (let i = 0; i < blocks; i++) await world.mine(1)
}

/** The channel is over for both: every satoshi of it is in a wallet, with the miners, or in an anchor. */
export async function resolved(life: Life, name: Name, peer: Name, earlier = 0n): Promise<void> {
  const { world } = life
  const open = (of: Name, to: Name) => world.of(of).api.channels({ limit: 50 }, { peer: nodeIdOf(to) })
  for (const { items } of [await open(name, peer), await open(peer, name)])
    expect(items.map((c) => [c.state, c.waitsFor])).toEqual(items.map(() => ['closed', null]))
  const { items } = await world.of(name).api.channels({ limit: 50 }, { peer: nodeIdOf(peer) })
  const [channel, ...others] = items.filter((c) => c.closing !== null)
  expect(others).toEqual([])
  expect(earlier + life.gainedOnchain()).toBe(channel!.capacitySat)
}

const ENDINGS: readonly Ending[] = [{ how: 'refused' }, { how: 'lost' }, { how: 'kept' }]

/**
 * A process whose write is refused lives on until the part is over, as one that its operating system is slow to end: with its peers
 * connected, blocks coming, and people asking.
 * @returns ends it, once it has said nothing since; true when there was such a write
 */
function muted({ world }: Life, victim: Name): () => boolean {
  const process = world.of(victim)
  const { disk } = process
  const { judge } = disk
  const done = () => ({ words: world.wire.sent.get(process.nodeId) ?? 0, writes: disk.writes })
  let before: ReturnType<typeof done> | null = null
  disk.judge = (ops, n) => {
    const fate = judge(ops, n)
    if (fate?.tag === 'fail') before ??= done()
    return fate
  }
  process.lingers = true
  return () => {
    process.lingers = false
    if (before === null) return false
    expect(process.fatal).toBeInstanceOf(Error)
    expect(done()).toEqual(before)
    world.crash(victim)
    return true
  }
}

/** @returns whether the part had so many writes of the victim's */
async function live(part: Part, { base, victim, n, ending }: Attempt): Promise<boolean> {
  const life = await Life.begin(base)
  try {
    await part.prepare?.(life.world)
    const { disk } = life.world.of(victim)
    life.doom(victim, n, ending)
    const end = ending.how === 'refused' ? muted(life, victim) : () => disk.dead
    await part.act(life)
    const died = end()
    await life.finish()
    await part.after(life)
    expect(life.complaints()).toEqual([])
    return died
  } catch (e) {
    throw new Error(`${part.name}, ${victim}, at write ${n}: ${e}`, { cause: e })
  } finally {
    life.world.close()
  }
}

interface Attempt {
  readonly base: Snapshot
  readonly victim: Name
  readonly n: number
  readonly ending: Ending
}

export function failsAtEveryWrite(part: Part): void {
  describe(`a store that fails at any write while ${part.name}`, () => {
    let base: Snapshot
    beforeAll(async () => {
      base = await part.base()
    })
    for (const victim of part.victims) {
      for (const ending of ENDINGS) {
        it(`${victim} starts again after each write that was ${ending.how}`, async () => {
          let n = 1
          while (await live(part, { base, victim, n, ending })) n++
          expect(n).toBeGreaterThan(1)
        }, 180_000)
      }
    }
  })
}
