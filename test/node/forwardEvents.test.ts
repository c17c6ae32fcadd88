import { describe, expect, it } from 'vitest'
import { EventLog } from '../../src/node/events.ts'
import type { TurnScope } from '../../src/node/reactor.ts'
import { MemoryDriver } from '../../src/store/memory.ts'
import { keys } from '../../src/store/schema.ts'
import type { Op } from '../../src/store/types.ts'
import { channelId } from '../routing/network.ts'

describe('forwards that fail, which cost their sender nothing (filled disk)', () => {
  it('are told up to a thousand at once of a channel, the rest is counted: they push nothing out of the log', async () => {
    const log = await EventLog.open(new MemoryDriver(), () => 0)
    const ops: Op[] = []
    const scope = { write: (op: Op) => ops.push(op), after: () => {} } as unknown as TurnScope
    const told = (channel: number, times: number) =>
      Array.from({ length: times }, () => log.emitForwardFailed(scope, channelId(channel), { detail: 'x' })).filter(
        Boolean,
      )
    const flood = told(1, 5_000).length
    expect(flood).toBeGreaterThanOrEqual(1_000)
    expect(flood).toBeLessThan(1_100)
    expect(told(2, 500).length).toBe(500)
    expect(log.lastId).toBe(flood + 500)
    log.sumUp(scope)
    expect(ops.map((op) => op.key)).toEqual(ops.map((_, i) => keys.event(i + 1)))
    expect(log.lastId).toBe(flood + 501)
  })
})
