import { beforeAll, describe, expect, it } from 'vitest'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { signedLocal } from '../../src/channel/commitments.ts'
import { channelOf } from '../../src/channel/describe.ts'
import { localBalance } from '../../src/channel/limits.ts'
import { Rng } from '../adversary/rng.ts'
import { onchainSat } from './accounts.ts'
import { Life } from './life.ts'
import { NOBODY, type Snapshot, World } from './world.ts'

/** FULMEN_LIVES=200 npx vitest run test/node/adversary.test.ts looks longer. */
const LIVES = Number(process.env.FULMEN_LIVES ?? 5)
const SEED = Number((process.env.FULMEN_SEED ?? '1').split(':')[0]) || 1

let base: Snapshot
beforeAll(async () => {
  const world = await World.start()
  await world.fund(4)
  await world.open('alice', 'bob', 2_000_000, 1_000_000)
  await world.open('bob', 'carol', 2_000_000, 1_000_000)
  base = world.snapshot()
  world.close()
})

/** Bob's money, in the wallet and in channels that go on, beside their HTLCs. */
function worth(world: World): bigint {
  const open = world.channelsOf('bob').map((c, i) => {
    const { state } = world.of('bob').node!.channels.all()[i]!
    return c && !['closing', 'closed'].includes(state.tag) ? localBalance(c, c.commitments.next.local) / 1000n : 0n
  })
  return open.reduce((a, b) => a + b, onchainSat(world).bob)
}

/** Whole nodes; alice and carol keep every commitment that they ever had, and publish any of them. */
class Raid {
  readonly life: Life
  readonly rng: Rng
  readonly old: Transaction[] = []

  constructor(life: Life, seed: number) {
    this.life = life
    this.rng = new Rng(seed)
  }
  get world(): World {
    return this.life.world
  }

  #keep(): void {
    for (const name of ['alice', 'carol'] as const) {
      const { node } = this.world.of(name)
      for (const entry of node?.channels.all() ?? []) {
        const channel = channelOf(entry.state)
        if (!channel || ['closing', 'closed'].includes(entry.state.tag)) continue
        this.old.push(signedLocal(channel, channel.commitments.active[0]!, node!.context(entry)))
      }
    }
  }

  async #pay(): Promise<void> {
    const kind = this.rng.below(3) === 0 ? 'invoice' : 'hold'
    const [from, to] = this.rng.below(2) === 0 ? (['alice', 'carol'] as const) : (['carol', 'alice'] as const)
    await this.life.step({ tag: 'pay', from, to, amountMsat: 60_000_000 + this.rng.below(40_000_000), kind })
    await this.world.settle()
    this.#keep()
  }

  #publish(): void {
    const tx = this.old[this.rng.below(this.old.length)]!
    if (this.rng.below(2) === 0) this.world.chain.submit(tx)
    else {
      try {
        this.world.chain.mineExactly([tx], NOBODY)
      } catch {
        // The channel has ended already.
      }
    }
  }

  async run(): Promise<void> {
    const { world, life, rng } = this
    this.#keep()
    for (let i = 0; i < 4; i++) await this.#pay()
    for (let i = 0; i < 10; i++) {
      switch (rng.pick([3, 3, 2, 2, 2, 2, 1])) {
        case 0:
          await this.#pay()
          break
        case 1:
          await life.step({ tag: 'decide', pick: rng.below(8), settle: rng.below(3) > 0 })
          await world.settle()
          this.#keep()
          break
        case 2:
          this.#publish()
          await world.mine(1 + rng.below(3))
          break
        case 3:
          await world.mine(1 + rng.below(12))
          break
        case 4:
          await world.reorg(1 + rng.below(6))
          break
        case 5:
          await life.step({ tag: 'cut', link: rng.below(2) as 0 | 1 })
          break
        default:
          await world.restart('bob')
          world.connectAll()
          await world.settle()
      }
    }
  }

  /** Everybody comes back, and bob closes what is still open. */
  async settle(): Promise<void> {
    const { world, life } = this
    await life.finish()
    const bob = world.of('bob')
    const isLeft = (): boolean => bob.node!.channels.all().some((e) => e.state.tag !== 'closed')
    for (const entry of bob.node!.channels.all()) {
      if (['closing', 'closed'].includes(entry.state.tag)) continue
      await world.attempt(bob.api.closeChannel(entry.meta.localId, { force: true }))
    }
    for (let i = 0; i < 120 && isLeft(); i++) await world.mine(3)
    expect(bob.node!.channels.all().map((e) => [e.state.tag, e.quarantined])).toEqual([
      ['closed', null],
      ['closed', null],
    ])
  }
}

describe('whole nodes: two peers that publish any commitment that they ever had, reorganisations, restarts', () => {
  it('leave a forwarding node with all that it had', async () => {
    for (let i = 0; i < LIVES; i++) {
      const life = await Life.begin(base)
      const raid = new Raid(life, SEED * 1_000 + i)
      const before = worth(life.world)
      await raid.run()
      await raid.settle()
      expect([i, raid.world.of('bob').fatal]).toEqual([i, null])
      // What miners and anchors got is an upper bound of what bob paid; an HTLC is worth more.
      const lost = before - worth(life.world) - life.costSat()
      expect([i, lost <= 0n || lost]).toEqual([i, true])
      life.world.close()
    }
  }, 600_000)
})
