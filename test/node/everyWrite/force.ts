import { Life } from '../life.ts'
import { type Snapshot, World } from '../world.ts'
import { AMOUNT, failsAtEveryWrite, mineSlowly, payable, resolved } from './part.ts'

type Closer = 'bob' | 'carol'
const other = (who: Closer): Closer => (who === 'bob' ? 'carol' : 'bob')

/** Alice's payment to carol waits at her, and one of the two closes the channel between bob and her; carol takes the money. */
async function closeUnderPayment(life: Life, who: Closer): Promise<void> {
  const { world } = life
  await life.step({ tag: 'pay', from: 'alice', to: 'carol', amountMsat: AMOUNT, kind: 'hold' })
  await world.settle()
  await life.step({ tag: 'close', who, peer: other(who), force: true })
  await life.step({ tag: 'decide', pick: 0, settle: true })
  await world.settle()
  await mineSlowly(life, 7)
}

/** Bob offers the HTLC of the payment, carol receives it. */
export function closesByForce(who: Closer): void {
  failsAtEveryWrite({
    name: `a channel is closed under a payment by force of ${who}, who ${who === 'bob' ? 'offers' : 'receives'} it`,
    victims: ['bob', 'carol'],
    base: World.line,
    act: (life) => closeUnderPayment(life, who),
    async after(life) {
      await life.step({ tag: 'close', who, peer: other(who), force: true })
      await life.mineToTheEnd()
      await resolved(life, 'bob', 'carol')
      await payable(life, 'bob', 'alice')
    },
  })

  let claimedBefore = 0n
  failsAtEveryWrite({
    name: `what a close by force of ${who} left is claimed`,
    victims: ['bob', 'carol'],
    async base(): Promise<Snapshot> {
      const world = await World.start(undefined, await World.line())
      const life = new Life(world)
      await closeUnderPayment(life, who)
      await world.mine(2)
      claimedBefore = life.gainedOnchain()
      const snapshot = world.snapshot()
      world.close()
      return snapshot
    },
    act: (life) => mineSlowly(life, 8),
    async after(life) {
      await life.mineToTheEnd()
      await resolved(life, 'bob', 'carol', claimedBefore)
      await payable(life, 'bob', 'alice')
    },
  })
}
