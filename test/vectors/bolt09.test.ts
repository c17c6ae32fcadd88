import { describe, expect, it } from 'vitest'
import { FEATURES, type FeatureContext } from '../../src/wire/features.ts'
import vectors from './fixtures/bolt09.json' with { type: 'json' }

const CONTEXT: Readonly<Record<string, FeatureContext>> = { I: 'init', N: 'node', 9: 'invoice', T: 'channelType' }
interface Row {
  readonly bit: number
  readonly assumed?: boolean
  readonly contexts: readonly FeatureContext[]
  readonly dependsOn?: readonly string[]
}
const table = FEATURES as Readonly<Record<string, Row>>

describe('BOLT 9: assigned feature flags', () => {
  it.each(vectors.features)('$name', ({ name, bit, assumed, contexts, dependsOn }) => {
    const feature = table[name]
    expect({ bit: feature?.bit, assumed: feature?.assumed === true, dependsOn: feature?.dependsOn ?? [] }).toEqual({
      bit,
      assumed,
      dependsOn,
    })
    // The assumed ones, and gossip_queries, have no contexts any more; ours are where they used to be shown.
    if (contexts !== '') expect(feature?.contexts).toEqual([...contexts].map((c) => CONTEXT[c]))
  })

  it('we know no others but keysend, which is in bLIP 3', () => {
    const known = new Set(vectors.features.map((f) => f.name))
    expect(Object.keys(FEATURES).filter((name) => !known.has(name))).toEqual(['keysend'])
  })
})
