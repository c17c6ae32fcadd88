import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Alerts } from '../../src/api/alerts/alerts.ts'
import type { Looked } from '../../src/api/alerts/look.ts'
import { type AlertRecord, nameOf, PATIENCE_MS } from '../../src/api/alerts/record.ts'
import type { Finding } from '../../src/api/checks/finding.ts'
import { FakeNode } from './fakeNode.ts'
import { testApi } from './harness.ts'

const DAY_MS = 24 * 3_600_000
const NONE: Looked = { findings: [], unknown: new Set() }

const finding = (code: string, about: string | null, level: 'warning' | 'problem' = 'problem'): Finding => ({
  check: 'x',
  level,
  message: `${code} is so`,
  cure: `cure of ${code}`,
  alert: { code: code as never, about },
})

/** Alerts over a node of records, with checks that find what the test says. */
async function kept(before?: FakeNode) {
  const node = new FakeNode(before?.apiStore)
  node.events.push(...(before?.events ?? []))
  const state = { nowMs: Date.UTC(2026, 0, 1), looked: NONE }
  const failures: unknown[] = []
  const alerts = new Alerts({
    service: node,
    now: () => state.nowMs,
    look: async () => state.looked,
    onError: (error) => failures.push(error),
  })
  await alerts.load()
  const all = () => alerts.list(() => true)
  return { node, state, alerts, failures, all, raised: () => all().filter((a) => a.clearedAt === null) }
}
const told = (node: FakeNode) =>
  node.events.filter((e) => e.type.startsWith('node.alert')).map((e) => [e.type, e.data.code, e.data.id])

describe('alerts', () => {
  it('are raised when a check finds something, told of once, and cleared when it finds it no more', async () => {
    const { node, state, alerts, all, raised, failures } = await kept()
    state.looked = { ...NONE, findings: [finding('DISK_LOW', null, 'warning'), finding('WEBHOOK_FAILED', 'wh_1')] }
    for (let i = 0; i < 3; i++) await alerts.look()
    expect(
      raised().map(({ code, about, severity, reason, cure, count }) => [code, about, severity, reason, cure, count]),
    ).toEqual([
      ['WEBHOOK_FAILED', 'wh_1', 'problem', 'WEBHOOK_FAILED is so', 'cure of WEBHOOK_FAILED', 1],
      ['DISK_LOW', null, 'warning', 'DISK_LOW is so', 'cure of DISK_LOW', 1],
    ])
    state.looked = { ...NONE, findings: [finding('DISK_LOW', null)] }
    state.nowMs += 1_000
    await alerts.look()
    expect(raised()).toMatchObject([{ code: 'DISK_LOW', severity: 'problem' }])
    expect(all()[0]).toMatchObject({ code: 'WEBHOOK_FAILED', clearedAt: '2026-01-01T00:00:01.000Z' })
    expect(told(node)).toEqual([
      ['node.alert', 'DISK_LOW', null],
      ['node.alert', 'WEBHOOK_FAILED', 'wh_1'],
      ['node.alert.cleared', 'WEBHOOK_FAILED', 'wh_1'],
    ])
    expect(failures).toEqual([])
  })

  it('that come while the checks look are not cleared by what those found before', async () => {
    const { node, alerts, raised } = await kept()
    const tell = () => node.emit('node.alert', { code: 'WEBHOOK_FAILED', webhookId: 'wh_1', message: 'given up' })
    for (const count of [1, 2]) {
      const looking = alerts.look()
      tell()
      await looking
      expect(raised()).toMatchObject([{ code: 'WEBHOOK_FAILED', about: 'wh_1', count }])
    }
    await alerts.look()
    expect(raised()).toEqual([])
    expect(told(node).map(([type]) => type)).toEqual(['node.alert', 'node.alert', 'node.alert.cleared'])
  })

  it('are as the checks say after any history of findings, events, acknowledgements and restarts', async () => {
    const codes = ['DISK_LOW', 'WEBHOOK_FAILED', 'KEY_EXPIRING', 'CHAIN_BEHIND', 'SOMETHING_ELSE'] as const
    const step = fc.oneof(
      fc.record({
        tag: fc.constant('look' as const),
        found: fc.subarray(['DISK_LOW', 'WEBHOOK_FAILED a', 'WEBHOOK_FAILED b', 'KEY_EXPIRING k', 'CHAIN_BEHIND']),
        unknown: fc.subarray(codes.slice(0, 4)),
        seconds: fc.integer({ min: 0, max: 100 }),
      }),
      fc.record({ tag: fc.constant('event' as const), name: fc.constantFrom('WEBHOOK_FAILED a', 'SOMETHING_ELSE c') }),
      fc.record({ tag: fc.constant('ack' as const), at: fc.nat(20) }),
      fc.record({ tag: fc.constant('restart' as const), isCrash: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let { node, state, alerts, all, raised, failures } = await kept()
        const expected = new Set<string>()
        const since = new Map<string, number>()
        for (const one of steps) {
          if (one.tag === 'look') {
            state.nowMs += one.seconds * 1_000
            const pair = (text: string) => [text.split(' ')[0]!, text.split(' ')[1] ?? null] as const
            const findings = one.found.map((text) => finding(...pair(text)))
            state.looked = { findings, unknown: new Set(one.unknown) }
            await alerts.look()
            for (const text of since.keys()) if (!one.found.includes(text)) since.delete(text)
            for (const text of one.found) {
              if (expected.has(text)) continue
              const first = since.get(text) ?? state.nowMs
              since.set(text, first)
              if (state.nowMs - first < (PATIENCE_MS[pair(text)[0]] ?? 0)) continue
              expected.add(text)
              since.delete(text)
            }
            for (const text of expected) {
              const [code] = pair(text)
              const isOver =
                code !== 'SOMETHING_ELSE' && !one.found.includes(text) && !one.unknown.includes(code as never)
              if (isOver) expected.delete(text)
            }
          } else if (one.tag === 'event') {
            const [code, id] = one.name.split(' ')
            node.emit('node.alert', { code, id, message: 'happened' })
            expected.add(one.name)
          } else if (one.tag === 'ack') {
            const record = all()[one.at]
            if (!record) continue
            await alerts.acknowledge(record.seq)
            if (record.clearedAt === null && record.code === 'SOMETHING_ELSE') expected.delete(nameOf(record))
          } else {
            const before = all()
            if (!one.isCrash) await alerts.close()
            const { nowMs } = state
            ;({ node, state, alerts, all, raised, failures } = await kept(node))
            state.nowMs = nowMs
            since.clear()
            // The words of what is still so may be newer than what was written.
            const facts = (list: readonly AlertRecord[]) => list.map(({ reason: _, cure: __, ...rest }) => rest)
            expect(facts(all())).toEqual(facts(before))
          }
          expect(
            raised()
              .map((a) => nameOf(a).trim())
              .toSorted(),
          ).toEqual([...expected].toSorted())
        }
        expect(failures).toEqual([])
      }),
      { numRuns: 120 },
    )
  })

  it('take up what happened before the API was there, also in a crash, once', async () => {
    const first = await kept()
    first.node.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: 'c1', message: 'a lost write' })
    first.node.emit('payment.succeeded', {})
    // A crash: nothing is closed. The log of events is what the next run finds.
    const next = new FakeNode(first.node.apiStore)
    next.events.push(...first.node.events)
    next.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: 'c2', message: 'another' })
    // One more comes while the others are read, and is met twice.
    const read = next.eventsSince.bind(next)
    let isFirst = true
    next.eventsSince = async (...args) => {
      if (isFirst) next.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: 'c3', message: 'meanwhile' })
      isFirst = false
      return read(...args)
    }
    const alerts = new Alerts({ service: next, now: () => 0, look: async () => NONE, onError: () => {} })
    await alerts.load()
    expect(alerts.list(() => true).map(({ about, count }) => [about, count])).toEqual([
      ['c3', 1],
      ['c2', 1],
      ['c1', 1],
    ])
  })

  it('wait with what often passes by itself', async () => {
    const { state, alerts, raised } = await kept()
    state.looked = { ...NONE, findings: [finding('CHAIN_BEHIND', null)] }
    await alerts.look()
    state.nowMs += PATIENCE_MS.CHAIN_BEHIND! - 1
    await alerts.look()
    expect(raised()).toEqual([])
    state.looked = NONE
    await alerts.look()
    state.looked = { ...NONE, findings: [finding('CHAIN_BEHIND', null)] }
    await alerts.look()
    state.nowMs += PATIENCE_MS.CHAIN_BEHIND!
    await alerts.look()
    expect(raised()).toHaveLength(1)
  })

  it('of what happened once: a problem stays until somebody knows, a warning for a day', async () => {
    const { node, state, alerts, raised } = await kept()
    node.emit('node.alert', { code: 'BAD_SIGNATURE', id: 'c1', message: 'of a peer', byPeer: true })
    node.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: 'c2', message: 'ours' })
    const { at } = node.events[0]!
    state.nowMs = Date.parse(at) + DAY_MS - 1
    await alerts.look()
    expect(raised()).toHaveLength(2)
    state.nowMs = Date.parse(at) + DAY_MS + 1
    await alerts.look()
    expect(raised().map(({ code }) => code)).toEqual(['CHANNEL_DAMAGED'])
  })

  it('are bounded: of a flood the cleared and the harmless go first, and a problem stays', async () => {
    const { node, state, alerts, all } = await kept()
    state.looked = { ...NONE, findings: [finding('DISK_LOW', null)] }
    await alerts.look()
    for (let i = 0; i < 700; i++)
      node.emit('node.alert', { code: 'BAD_MESSAGE', id: `c${i}`, message: '', byPeer: true })
    expect(all()).toHaveLength(500)
    expect(all().map(({ code }) => code)).toContain('DISK_LOW')
    await alerts.close()
    expect((await node.apiStore.list('alert/')).length).toBe(500)
  })
})

describe('/v1/alerts', () => {
  it('lists by state, in pages; those about keys only for whoever manages keys', async () => {
    const { call, node, keys, app } = await testApi()
    for (let i = 0; i < 3; i++) node.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: `c${i}`, message: 'lost' })
    node.emit('key.expiring', { id: 'k1', name: 'till', version: 1, expiresAt: '2026-01-02T00:00:00Z' })
    const first = (await call('GET', '/v1/alerts?limit=3')).json()
    expect(first.items.map((a: { code: string; about: string }) => [a.code, a.about])).toEqual([
      ['KEY_EXPIRING', 'k1'],
      ['CHANNEL_DAMAGED', 'c2'],
      ['CHANNEL_DAMAGED', 'c1'],
    ])
    expect((await call('GET', `/v1/alerts?limit=3&cursor=${first.nextCursor}`)).json()).toMatchObject({
      items: [{ about: 'c0', severity: 'problem', clearedAt: null, count: 1, cure: expect.stringMatching(/restore/) }],
      nextCursor: null,
    })
    const looker = await keys.create('looker', ['node:read'])
    const headers = { authorization: `Bearer ${looker}` }
    const seen = (await app.inject({ url: '/v1/alerts', headers })).json().items
    expect(new Set(seen.map((a: { code: string }) => a.code))).toEqual(new Set(['CHANNEL_DAMAGED']))

    const [{ id }] = (await call('GET', '/v1/alerts?limit=1&state=raised')).json().items
    const known = (await call('POST', `/v1/alerts/${id}/acknowledge`)).json()
    expect(known).toMatchObject({ code: 'KEY_EXPIRING', clearedAt: null, acknowledgedAt: expect.any(String) })
    const [, { id: damaged }] = (await call('GET', '/v1/alerts')).json().items
    expect((await call('POST', `/v1/alerts/${damaged}/acknowledge`)).json().clearedAt).not.toBeNull()
    expect((await call('GET', '/v1/alerts?state=cleared')).json().items).toMatchObject([{ about: 'c2' }])
    expect((await call('GET', '/v1/alerts?state=raised')).json().items).toHaveLength(3)
    expect((await call('POST', '/v1/alerts/99/acknowledge')).json().code).toBe('NOT_FOUND')
    expect((await call('GET', '/v1/alerts?cursor=99')).statusCode).toBe(400)
    expect((await call('GET', '/v1/alerts?state=loud')).statusCode).toBe(400)
  })

  it('are counted for Prometheus while they are raised', async () => {
    const { call, node } = await testApi()
    const asked: unknown[] = []
    node.metrics = async (more) => {
      asked.push(more)
      return ''
    }
    await call('GET', '/metrics')
    node.emit('node.alert', { code: 'CHANNEL_DAMAGED', id: 'c', message: 'lost' })
    await call('GET', '/metrics')
    await call('POST', '/v1/alerts/1/acknowledge')
    await call('GET', '/metrics')
    expect(asked).toEqual([0, 1, 0].map((alertsRaised) => ({ eventSubscribers: 0, alertsRaised })))
  })
})
