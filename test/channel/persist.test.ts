import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../src/base/pack.ts'
import { msat } from '../../src/base/units.ts'
import { ChannelRecordError, channelOps, loadChannel } from '../../src/channel/persist.ts'
import { stoodIn } from '../../src/channel/revokedRecord.ts'
import type { ChannelState } from '../../src/channel/state.ts'
import { add, preimageOf, reachNormal, World } from './harness.ts'
import type { Side } from './side.ts'

/** Keys written by one step, with their sizes. */
const written = (side: Side, act: () => void): Record<string, number> => {
  const before = side.state as ChannelState
  act()
  return Object.fromEntries(channelOps(before, side.state!).map((op) => [op.key, op.value?.length ?? -1]))
}

describe('what a channel writes', () => {
  it('nothing before the funding is bound, everything then', () => {
    const w = new World()
    w.open()
    expect([...w.bob.records.keys()].sort()).toEqual(['core', 'fixed', 'signatures', 'stages'])
    expect(channelOps(null, { tag: 'await-accept' } as ChannelState)).toEqual([])
  })

  it('a payment touches its own records and a few small ones, however many HTLCs are pending', () => {
    const w = reachNormal({ policy: { maxDustExposureMsat: msat(1_000_000_000) } })
    for (let n = 0; n < 200; n++) w.alice.command(add(n, 1000), n === 199)
    w.settle()
    const sizes = written(w.alice, () => w.alice.command(add(200, 1000)))
    expect(Object.keys(sizes).sort()).toEqual(['add/out/0000000000000200', 'core', 'stages'])
    expect(sizes.core).toBeLessThan(1000)
    expect(sizes.stages).toBeLessThan(3000)
    const settled = written(w.bob, () => w.bob.command({ tag: 'fulfillHtlc', id: 7n, preimage: preimageOf(7) }, false))
    expect(Object.keys(settled).sort()).toEqual(['core', 'removal/in/0000000000000007', 'stages'])
    const idle = written(w.bob, () => w.bob.step({ tag: 'chain', event: { tag: 'block', height: 104 } }, false))
    expect(idle).toEqual({})
  })

  it('an HTLC that takes the id of one that was taken back is written anew', () => {
    const states = [1, 2].map((n) => {
      const w = reachNormal()
      w.alice.command(add(n, 5_000_000), false)
      return w.alice.state!
    })
    const ops = channelOps(states[0]!, states[1]!)
    expect(ops.filter((op) => op.value).map((op) => op.key)).toContain('add/out/0000000000000000')
  })

  it('an HTLC that is gone leaves one record for the punishment of the commitments that it stood in', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    w.bob.command({ tag: 'fulfillHtlc', id: 0n, preimage: preimageOf(1) })
    w.settle()
    for (const side of w.sides) {
      const kinds = [...side.records.keys()].filter((k) => k.includes('/') && !k.startsWith('secret'))
      expect(kinds).toEqual([`revoked/${side.name === 'alice' ? 'out' : 'in'}/0000000000000000`])
      const [record] = side.revokedRecords()
      expect([0, 1, 2].map((n) => stoodIn(record!, n))).toEqual([false, true, false])
    }
  })

  it('holds no secret of ours', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    w.settle()
    const hex = [...w.alice.records.values()].map((v) => Buffer.from(v).toString('hex')).join()
    for (let n = 0; n < 4; n++)
      expect(hex).not.toContain(Buffer.from(w.alice.ctx.signer.commitmentSecret(n)).toString('hex'))
    expect(hex).toContain(Buffer.from(w.bob.ctx.signer.commitmentSecret(0)).toString('hex'))
  })
})

describe('reading back', () => {
  it('names a record that is missing or of a newer version', () => {
    const w = reachNormal()
    w.alice.command(add(1, 5_000_000))
    for (const key of ['core', 'fixed', 'signatures', 'add/out/0000000000000000']) {
      const records = new Map(w.alice.records)
      records.delete(key)
      expect(() => loadChannel(records)).toThrow(ChannelRecordError)
      expect(() => loadChannel(records)).toThrow(key)
    }
    const core = unpack<Record<string, unknown>>(w.alice.records.get('core')!)
    const newer = new Map(w.alice.records).set('core', pack({ ...core, version: 2 }))
    expect(() => loadChannel(newer)).toThrow('version 2')
  })

  it('names the record of the end on chain when it is missing, and reads one from before that was noted', () => {
    const w = reachNormal()
    w.alice.command({ tag: 'forceClose', requestId: 7 })
    const records = new Map(w.alice.records)
    expect(records.delete('onchain')).toBe(true)
    expect(() => loadChannel(records)).toThrow('"onchain" is missing')
    const { onchain: _, ...core } = unpack<Record<string, unknown>>(w.alice.records.get('core')!)
    expect(loadChannel(new Map(w.alice.records).set('core', pack(core)))).toEqual(w.alice.load())
  })

  it('bytes come back as bytes of their own', () => {
    const w = reachNormal()
    const state = w.alice.load()
    if (state.tag !== 'normal') throw new Error('not normal')
    const { fundingPubkey } = state.channel.params.local.basepoints
    expect(fundingPubkey.constructor).toBe(Uint8Array)
    expect(fundingPubkey.buffer.byteLength).toBe(33)
  })
})
