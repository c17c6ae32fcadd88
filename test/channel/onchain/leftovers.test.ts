import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { outpointKey } from '../../../src/base/ids.ts'
import type { Transaction } from '../../../src/bitcoin/transaction.ts'
import { weightOf } from '../../../src/bitcoin/transaction.ts'
import { advance } from '../../../src/channel/advance.ts'
import { summary, watches } from '../../../src/channel/describe.ts'
import { channelOps, loadChannel } from '../../../src/channel/persist.ts'
import type { ChannelState, ClosedState } from '../../../src/channel/state.ts'
import type { ChainEvent, ChannelTypeName, Effect } from '../../../src/channel/types.ts'
import { TestChain } from './chain.ts'
import { CAPACITY, FEERATE, type HtlcSpec, type Name, START, walletScript } from './fixture.ts'
import { type World, world } from './world.ts'

/** At which no balance of the fixture is worth its claim. */
const DEAR = 20_000_000

/** Mempools are full: they take in nothing below this feerate, in sat per 1,000 weight units. */
class Crowded extends TestChain {
  minimum = 0
  override broadcast(tx: Transaction): string | null {
    const coins = tx.inputs.map((i) => this.coins().get(outpointKey(i))?.output.amountSat)
    const paid = coins.reduce((sum: bigint, c) => sum + (c ?? 0n), 0n)
    const fee = paid - tx.outputs.reduce((sum, o) => sum + o.amountSat, 0n)
    const isPoor = !coins.includes(undefined) && Number(fee) * 1000 < this.minimum * weightOf(tx)
    return isPoor ? 'mempool min fee not met' : super.broadcast(tx)
  }
}

/** What comes of a channel after its end, by the whole core, through the store at every step. */
class Afterwards {
  state: ChannelState
  readonly effects: Effect[] = []
  readonly #world: World<Crowded>
  readonly #who: Name

  constructor(w: World<Crowded>, who: Name) {
    this.#world = w
    this.#who = who
    const { channel, onchain } = w[who]
    this.state = { tag: 'closed', channel, onchain, reason: onchain!.how }
  }

  get closed(): ClosedState {
    if (this.state.tag !== 'closed') throw new Error(`the channel is ${this.state.tag}`)
    return this.state
  }

  tell(event: ChainEvent): void {
    const { ctx } = this.#world[this.#who]
    const turn = advance(this.state, { tag: 'chain', event }, ctx)
    const records = channelOps(null, turn.state).map((op): [string, Uint8Array] => [op.key, op.value!])
    const end = (state: ChannelState) => ({ ...(state as ClosedState), channel: null })
    if (!isDeepStrictEqual(end(loadChannel(records)), end(turn.state)))
      throw new Error('the state does not survive the store')
    this.state = turn.state
    for (const effect of turn.effects) {
      if (effect.tag === 'broadcast') this.#world.chain.broadcast(effect.tx)
      else this.effects.push(effect)
    }
  }

  mine(blocks = 1): void {
    for (let i = 0; i < blocks; i++) {
      const txs = this.#world.chain.mine()
      const { height } = this.#world.chain
      for (const tx of txs) {
        for (const { txid, index } of tx.inputs) {
          const outpoint = { txid, index }
          const isWatched = watches(this.state).some(
            (w) => w.tag === 'spend' && outpointKey(w.outpoint) === outpointKey(outpoint),
          )
          if (isWatched) this.tell({ tag: 'spent', outpoint, tx, height })
        }
      }
      this.tell({ tag: 'block', height })
    }
  }
}

/** Fees are high for 1,100 blocks: longer than anything is waited for. */
function dearFor1100(closer: Name, type: ChannelTypeName, htlcs: readonly HtlcSpec[] = []) {
  const w = world({ type, opener: 'bob', number: 3, htlcs }, Crowded)
  w.alice.claim = DEAR
  w[closer].forceClose()
  w.mine()
  w.chain.minimum = DEAR
  w.mine(1_100)
  expect(w.alice.done).toBe(true)
  return { w, later: new Afterwards(w, 'alice') }
}

const own = ({ closed }: Afterwards) =>
  closed.onchain!.outputs.filter((o) => ['delayed', 'to-remote'].includes(o.spend.tag))
const balance = (w: World): bigint => w.chain.balance(walletScript('alice')) - 40n * 50_000n

describe('BOLT 5 §general-nomenclature: an output that nobody but us can ever spend, too dear for its claim for a week', () => {
  it.each<[Name, ChannelTypeName]>([
    ['alice', 'anchors'],
    ['bob', 'anchors'],
    ['alice', 'static_remotekey'],
    ['bob', 'static_remotekey'],
  ])('comes home when fees have fallen: %s closed, %s', (closer, type) => {
    const { w, later } = dearFor1100(closer, type)
    later.mine(10)
    expect(later.closed).toMatchObject({ irrevocable: true })
    expect(own(later)).toMatchObject([{ spent: null }])
    const { ctx } = w.alice
    const pendingSat = own(later)[0]!.amountSat
    expect(summary(later.state, ctx).closing).toMatchObject({ resolved: true, waitsFor: null, pendingSat })

    w.alice.claim = FEERATE
    w.chain.minimum = 0
    const before = balance(w)
    later.mine(2)
    const [output] = own(later)
    expect(output!.spent).not.toBeNull()
    // For what the estimate asks, not for what was tried while fees were high.
    const fee = w.chain.fees.get(output!.spent!.txid)!
    expect(fee).toBeLessThan(2_000n)
    expect(balance(w) - before).toBe(output!.amountSat - fee)
    expect(output!.amountSat).toBeGreaterThan(CAPACITY / 2n - 20_000n)
    // It was over before, for whoever reads, and the wallet.
    expect(later.closed.irrevocable).toBe(true)
    expect(later.effects).toEqual([])

    // Until a reorganisation cannot take that back.
    later.mine(98)
    expect(watches(later.state).length).toBe(1)
    later.mine()
    expect(watches(later.state)).toEqual([])
  })

  it('is claimed once more when a reorganisation takes its claim back', () => {
    const { w, later } = dearFor1100('alice', 'anchors')
    later.mine(10)
    w.alice.claim = FEERATE
    w.chain.minimum = 0
    later.mine(5)
    expect(own(later)).not.toMatchObject([{ spent: null }])
    w.chain.reorg(6)
    later.tell({ tag: 'reorg', height: w.chain.height })
    expect(own(later)).toMatchObject([{ spent: null }])
    later.mine(2)
    expect(own(later)).not.toMatchObject([{ spent: null }])
    expect(later.closed.irrevocable).toBe(true)
  })

  it('is kept in the delayed output of our HTLC transaction, too', () => {
    const spec: HtlcSpec = { from: 'alice', amountSat: 100_000, cltvExpiry: START + 10, n: 1, knows: false }
    const w = world({ type: 'static_remotekey', opener: 'bob', number: 3, htlcs: [spec] }, Crowded)
    w.alice.claim = DEAR
    w.alice.forceClose()
    w.mine(13)
    w.chain.minimum = DEAR
    w.mine(1_100)
    const later = new Afterwards(w, 'alice')
    later.mine(100)
    expect(own(later)).toMatchObject([{ spent: null }, { spent: null }])
    w.alice.claim = FEERATE
    w.chain.minimum = 0
    later.mine(2)
    const claims = new Set(own(later).map((o) => o.spent?.txid))
    expect([...claims]).toEqual([expect.any(String)])
  })

  it('is let go for good where no feerate that nodes relay makes it worth its claim', () => {
    const { later } = dearFor1100('bob', 'static_remotekey')
    const { onchain } = later.closed
    later.state = {
      ...later.closed,
      onchain: { ...onchain!, outputs: onchain!.outputs.map((o) => ({ ...o, amountSat: 400n as never })) },
    }
    later.mine(2)
    expect(later.closed.irrevocable).toBe(true)
    expect(watches(later.state)).toEqual([])
  })

  it('leaves the HTLCs alone that both sides could take, and were given up', () => {
    const spec: HtlcSpec = { from: 'alice', amountSat: 100_000, cltvExpiry: START + 10, n: 1, knows: false }
    const { w, later } = dearFor1100('bob', 'static_remotekey', [spec])
    later.mine(150)
    expect(later.closed.irrevocable).toBe(true)
    expect(watches(later.state).length).toBe(1)
    w.alice.claim = FEERATE
    w.chain.minimum = 0
    later.mine(2)
    const htlc = later.closed.onchain!.outputs.find((o) => o.htlc !== null)!
    expect(htlc.spent).toBeNull()
    expect(own(later)).not.toMatchObject([{ spent: null }])
  })
})
