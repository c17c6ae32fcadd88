import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Transaction } from '../../../src/bitcoin/transaction.ts'
import { getHtlc, replaceHtlc } from '../../../src/channel/htlcTable.ts'
import type { ChannelTypeName } from '../../../src/channel/types.ts'
import { channelOf, contextOf, type HtlcSpec, type Name, preimageOf, START } from './fixture.ts'
import { type World, world } from './world.ts'

const EXPIRY = START + 10

interface Late {
  readonly type: ChannelTypeName
  readonly closer: Name
  readonly amountSat: number
  readonly htlcFailDepth: number
  /** Between the expiry of what came in and that of what alice has offered for it. */
  readonly delta: number
}

/** Alice's channel with whom she has forwarded to. */
function forwarding({ type, amountSat, htlcFailDepth, delta }: Omit<Late, 'closer'>): World {
  const spec: HtlcSpec = { from: 'alice', amountSat, cltvExpiry: EXPIRY, n: 1, knows: false }
  const setup = { type, opener: 'bob' as const, number: 3, htlcs: [spec] }
  const w = world(setup)
  const channel = channelOf('alice', setup)
  const { commitments, params } = channel
  const htlc = getHtlc(commitments.outgoing, 0n)!
  const origin = { tag: 'forward', channelId: params.channelId, htlcId: 7n } as const
  const outgoing = replaceHtlc(commitments.outgoing, { ...htlc, add: { ...htlc.add, origin } })
  w.alice.channel = { ...channel, commitments: { ...commitments, outgoing } }
  const policy = { ...contextOf('alice', START).policy, htlcFailDepth }
  w.alice.about = { policy, incomingExpiry: () => EXPIRY + delta }
  return w
}

/** @returns whether the HTLC has gone back by now */
const wentBack = (w: World): boolean => w.alice.events.some((e) => e.tag === 'failed')

describe('BOLT 5 §htlc-output-handling-local-commitment-local-offers: a forward whose end on chain comes late', () => {
  it('goes back six blocks before what it came by expires, if its end is in three blocks, and sooner where it is as deep as asked for', () => {
    fc.assert(
      fc.property(
        fc.record({
          type: fc.constantFrom<ChannelTypeName>('static_remotekey', 'anchors'),
          closer: fc.constantFrom<Name>('alice', 'bob'),
          // One of 400 sat has no output: it ends with the commitment.
          amountSat: fc.constantFrom(400, 50_000),
          htlcFailDepth: fc.integer({ min: 1, max: 144 }),
          delta: fc.integer({ min: 10, max: 180 }),
          part: fc.nat(1_000),
        }),
        ({ part, closer, ...late }) => {
          const w = forwarding(late)
          const { delta, htlcFailDepth, amountSat } = late
          const lateness = 1 + Math.floor((part * (delta + 4)) / 1_000)
          w[closer].forceClose()
          if (amountSat > 400) w.mine()
          w.mine(EXPIRY + lateness - 1 - w.chain.height, () => false)
          expect(wentBack(w)).toBe(false)
          w.mine()
          const [ended, cameBy] = [EXPIRY + lateness, EXPIRY + delta]
          const soon = Math.max(cameBy - 6, ended + Math.min(2, htlcFailDepth))
          const due = Math.min(ended + htlcFailDepth, soon)
          w.mine(due - 1 - w.chain.height)
          expect(wentBack(w)).toBe(due === ended)
          w.mine(due - w.chain.height)
          expect(wentBack(w)).toBe(true)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('waits for as long as nothing of it is in the chain, and tells of a preimage that a reorganisation brings after all', () => {
    const w = forwarding({ type: 'anchors', amountSat: 50_000, htlcFailDepth: 6, delta: 40 })
    w.bob.forceClose()
    w.mine()
    w.mine(EXPIRY + 50 - w.chain.height, () => false)
    expect(w.alice.events).toEqual([])
    w.mine(3)
    expect(w.alice.events).toMatchObject([{ tag: 'failed', id: 0n }])
    w.reorg(3)
    const claims: Transaction[] = []
    w.chain.broadcast = (tx) => {
      claims.push(tx)
      return null
    }
    w.bob.learn(0n, preimageOf({ n: 1 } as HtlcSpec))
    expect(claims).toHaveLength(1)
    w.alice.block(w.chain.connect(claims))
    expect(w.alice.events).toMatchObject([{ tag: 'failed' }, { tag: 'fulfilled', id: 0n }])
  })
})
