import { expect } from 'vitest'
import { CAPACITY, failsAtEveryWrite, pay, payable } from './everyWrite/part.ts'
import { type Name, nodeIdOf, World } from './world.ts'

/** Between two nodes, and not over. */
const channelsOf = (world: World, name: Name, peer: Name) =>
  world
    .of(name)
    .node!.channels.ofPeer(nodeIdOf(peer))
    .filter((e) => e.state.tag !== 'closed')

failsAtEveryWrite({
  name: 'a channel is opened',
  victims: ['alice', 'bob'],
  async base() {
    const world = await World.start()
    await world.fund()
    const snapshot = world.snapshot()
    world.close()
    return snapshot
  },
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
})

failsAtEveryWrite({
  name: 'payments go both ways, and the fee is raised',
  victims: ['alice', 'bob'],
  base: World.line,
  async act(life) {
    await pay(life, 'alice', 'bob')
    await pay(life, 'bob', 'alice')
    await life.step({ tag: 'fee', who: 'alice', feeratePerKw: 1500 })
    await life.world.settle()
  },
  after: (life) => payable(life, 'bob', 'alice'),
})

failsAtEveryWrite({
  name: 'a payment is forwarded',
  victims: ['alice', 'bob', 'carol'],
  base: World.line,
  async act(life) {
    await pay(life, 'alice', 'carol')
    await life.world.settle()
  },
  after: (life) => payable(life, 'carol', 'alice'),
})
