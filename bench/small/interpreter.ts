import { verifyTransaction } from '../../src/bitcoin/verify.ts'
import { SHAPES, spendOf } from '../../test/bitcoin/lightningSpends.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const NAMES = ['commitment', 'HTLC-success, anchors', 'to_local after its delay']

/** Each transaction spends a Lightning output and one of a wallet. */
export const interpreterSuite = (): Promise<Suite> =>
  timeSuite(
    'Script interpreter: whole transactions with two inputs',
    SHAPES.filter((shape) => NAMES.includes(shape.name)).map((shape) => {
      const { tx, prevouts } = spendOf(shape)
      return task({ name: shape.name, run: () => verifyTransaction(tx, prevouts).ok, expect: true })
    }),
  )
