import { FEATURES, featureBits, featuresFromBits, ourInitFeatures } from '../../../src/wire/features.ts'
import type { Life } from '../life.ts'
import { NAMES, nodeIdOf, World } from '../world.ts'
import { failsAtEveryWrite, mineSlowly, type Part, payable, resolved } from './part.ts'

const close = (life: Life, who: 'alice' | 'bob'): Promise<void> =>
  life.step({ tag: 'close', who, peer: who === 'alice' ? 'bob' : 'alice', force: false })

/** @param who asks for it */
const together = (who: 'alice' | 'bob'): Pick<Part, 'victims' | 'base' | 'act' | 'after'> => ({
  victims: ['alice', 'bob'],
  base: World.line,
  async act(life) {
    await close(life, who)
    await life.world.settle()
    await mineSlowly(life, 3)
  },
  async after(life) {
    await close(life, who)
    await life.world.settle()
    await life.world.mine(10)
    await resolved(life, 'alice', 'bob')
    await payable(life, 'bob', 'carol')
  },
})

failsAtEveryWrite({ ...together('alice'), name: 'a channel is closed together' })

/** Nobody has option_simple_close. */
async function olderNodes(world: World): Promise<void> {
  const older = featureBits(ourInitFeatures()).filter((bit) => bit !== FEATURES.option_simple_close.bit + 1)
  for (const name of NAMES) world.wire.offers.set(nodeIdOf(name), featuresFromBits(older))
  for (const [a, b] of [
    ['alice', 'bob'],
    ['bob', 'carol'],
  ] as const)
    world.wire.cut(nodeIdOf(a), nodeIdOf(b))
  world.connectAll()
  await world.settle()
}

failsAtEveryWrite({
  ...together('bob'),
  name: 'a channel is closed together by closing_signed, which the opener begins',
  prepare: olderNodes,
})
