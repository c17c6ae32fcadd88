import { expect, it } from 'vitest'
import { closedByBob, estimate, hold, mineEmpty, withOneCoin } from './claims.ts'

it('a claim that is paid for with the change of another is made again at once when that one is replaced', async () => {
  const world = await withOneCoin()
  const soon = await hold(world, 1, 100_000n)
  await world.mine(3)
  const later = await hold(world, 2, 1_000_000n)
  const node = await closedByBob(world)
  estimate(node, 1_000)
  for (const htlc of [later, soon]) {
    await htlc.settle()
    await world.settle()
  }
  expect([...soon.claims()[0]!.parents]).toEqual(later.claims())

  let raised = 0
  for (let rate = 1_300; rate < 12_000; rate = Math.round(rate * 1.3)) {
    const [was] = later.claims()
    estimate(node, rate)
    await mineEmpty(world, 1)
    expect(soon.claims(), `at ${rate} sat per 1,000 weight units`).toHaveLength(1)
    if (later.claims()[0] !== was) raised++
  }
  // It has to pay for the other, too, each time.
  expect(raised).toBeGreaterThanOrEqual(3)
  world.close()
})
