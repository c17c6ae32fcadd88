import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { outpointKey } from '../../../src/base/ids.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../../src/chain/embedded/chain.ts'
import { EmbeddedChainError } from '../../../src/chain/embedded/errors.ts'
import { FALSE_OUTPUT, fund, outputOf, type Spendable, START, spend, TRUE_OUTPUT, testChain } from './harness.ts'

type Step =
  | { readonly type: 'mine'; readonly blocks: number }
  | { readonly type: 'spend'; readonly pick: number; readonly count: number }
  | { readonly type: 'invalidate'; readonly depth: number }
  | { readonly type: 'reconsider'; readonly pick: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant('mine' as const), blocks: fc.integer({ min: 1, max: 3 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('spend' as const),
        pick: fc.nat(),
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('invalidate' as const), depth: fc.integer({ min: 1, max: 5 }) }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('reconsider' as const), pick: fc.nat() }) },
  ),
  { minLength: 10, maxLength: 40 },
)

/** Outputs that anyone can spend, confirmed or not, spent by nobody yet. */
function spendable(chain: EmbeddedChain): Spendable[] {
  const free: Spendable[] = []
  for (const [key, coin] of chain.state.coins) {
    const mature = !coin.coinbase || chain.state.height + 1 - coin.height >= 100
    if (!mature || !isDeepStrictEqual(coin.output.scriptPubKey, TRUE_OUTPUT) || chain.mempool.spender(key)) continue
    free.push({
      txid: key.slice(0, 64) as Spendable['txid'],
      index: Number(key.slice(65)),
      amountSat: coin.output.amountSat,
    })
  }
  for (const e of chain.mempool.entries()) {
    for (const index of e.tx.outputs.keys()) {
      const out = outputOf(e.tx, index)
      if (!chain.mempool.spender(outpointKey(out))) free.push(out)
    }
  }
  return free
}

function apply(chain: EmbeddedChain, step: Step): void {
  switch (step.type) {
    case 'mine':
      chain.mine(step.blocks, FALSE_OUTPUT)
      return
    case 'spend': {
      const free = spendable(chain)
      if (free.length > 0) chain.submit(spend([free[step.pick % free.length]!], { count: step.count }))
      return
    }
    case 'invalidate': {
      const node = chain.state.at(chain.state.height + 1 - step.depth)
      if (node && node.height > 102) chain.invalidate(node)
      return
    }
    case 'reconsider': {
      const leaves = chain.state.leaves()
      chain.reconsider(leaves[step.pick % leaves.length]!)
    }
  }
}

/** The unspent outputs of a chain that only ever saw the active blocks. */
function replayed(chain: EmbeddedChain): ReadonlyMap<string, unknown> {
  const fresh = createEmbeddedChain({ clock: () => START })
  for (let h = 1; h <= chain.state.height; h++) {
    const result = fresh.submitBlock(chain.state.at(h)!.block)
    expect(result.ok).toBe(true)
  }
  return fresh.state.coins
}

/** Everything in the mempool can be mined as it stands, and nothing in it contradicts the chain or itself. */
function expectMinable(chain: EmbeddedChain): void {
  const spent = new Set<string>()
  for (const e of chain.mempool.entries()) {
    for (const input of e.tx.inputs) {
      const key = outpointKey(input)
      expect(spent.has(key)).toBe(false)
      spent.add(key)
      expect(chain.state.coin(key) !== undefined || chain.mempool.get(input.txid) !== undefined).toBe(true)
    }
  }
  chain.mine(1, FALSE_OUTPUT)
  expect(chain.mempool.size).toBe(0)
}

describe('random spends, blocks and reorganisations', () => {
  it('leave the unspent outputs of a chain that saw the active blocks alone, and a mempool that a block can hold', () => {
    let reorganised = 0
    fc.assert(
      fc.property(steps, (list) => {
        const { chain } = testChain()
        fund(chain, 3)
        chain.state.onChange(({ disconnected }) => {
          if (disconnected.length > 0) reorganised++
        })
        for (const step of list) apply(chain, step)
        expect(isDeepStrictEqual(chain.state.coins, replayed(chain))).toBe(true)
        expectMinable(chain)
      }),
      { numRuns: 30 },
    )
    expect(reorganised).toBeGreaterThan(0)
  })
})

describe('a chain on disk', () => {
  const dirs: string[] = []
  const tempDir = (): string => {
    const dir = mkdtempSync(join(tmpdir(), 'fulmen-chain-'))
    dirs.push(dir)
    return dir
  }
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
  })

  it('comes back with the same tip, coins and failed blocks, and goes on', () => {
    const dir = tempDir()
    const { chain } = testChain(dir)
    const [a] = fund(chain, 1)
    chain.submit(spend([a!]))
    chain.mine(2, FALSE_OUTPUT)
    const gone = chain.state.tip.hash
    chain.invalidate(chain.state.tip)
    chain.mine(1, TRUE_OUTPUT)
    chain.close()

    const again = testChain(dir).chain
    expect(again.state.tip.hash).toBe(chain.state.tip.hash)
    expect(again.state.coins).toEqual(chain.state.coins)
    expect(again.state.node(gone)?.failed).toBe(true)
    again.mine(1, FALSE_OUTPUT)
    expect(again.state.height).toBe(chain.state.height + 1)
    again.close()
  })

  it('a torn last record, as a crash leaves it, is cut off; what came before stays', () => {
    const dir = tempDir()
    const { chain } = testChain(dir)
    chain.mine(5, TRUE_OUTPUT)
    chain.close()
    const path = join(dir, 'blocks.dat')
    truncateSync(path, readFileSync(path).length - 7)
    const again = testChain(dir).chain
    expect(again.state.height).toBe(4)
    again.mine(1, TRUE_OUTPUT)
    again.close()
    expect(testChain(dir).chain.state.height).toBe(5)
  })

  it('another program’s file is refused with a word on what to do', () => {
    const dir = tempDir()
    writeFileSync(join(dir, 'blocks.dat'), 'something else entirely')
    expect(() => testChain(dir)).toThrow(EmbeddedChainError)
    expect(() => testChain(dir)).toThrow(/move it away/)
  })
})
