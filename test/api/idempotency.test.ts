import { describe, expect, it } from 'vitest'
import type { PaymentHash } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { ServiceError } from '../../src/node/errors.ts'
import { PEER_ID } from './fakeNode.ts'
import { FakeStore } from './fakeStore.ts'
import { paymentView } from './fakeViews.ts'
import { testApi } from './harness.ts'

const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
/** The first example of BOLT 11, and its payment hash. */
const INVOICE =
  'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql'
const INVOICE_HASH = '0001020304050607080900010203040506070809000102030405060708090102' as PaymentHash
const DAY_MS = 24 * 3_600_000

/** Each call that moves money: what it is and what it does to the node. */
const ACTS = [
  ['a payment', '/v1/payments', { nodeId: PEER_ID, amountMsat: 5_000 }, 'pay'],
  ['a channel', '/v1/channels', { peer: PEER_ID, capacitySat: 100_000 }, 'openChannel'],
  ['a transaction', '/v1/wallet/transactions', { outputs: [{ address: ADDRESS, amountSat: 1_000 }] }, 'sendOnChain'],
  ['an invoice', '/v1/invoices', { amountMsat: 5_000, description: '' }, 'createInvoice'],
] as const

const key = (text: string) => ({ 'idempotency-key': text })

/** A store whose node died: nothing that was under way writes any more. */
const survivor = (store: FakeStore): FakeStore => {
  const copy = new FakeStore()
  for (const [name, value] of store.records) copy.records.set(name, value)
  return copy
}

describe.each(ACTS)('Idempotency-Key: %s', (_what, url, body, act) => {
  it('the same key and body acts once and gets the same answer', async () => {
    const { call, node } = await testApi()
    const first = await call('POST', url, body, key('k'))
    const reordered = Object.fromEntries(Object.entries(body).reverse())
    for (const again of [await call('POST', url, body, key('k')), await call('POST', url, reordered, key('k'))]) {
      expect([again.statusCode, again.json()]).toEqual([first.statusCode, first.json()])
    }
    expect(node.calls).toEqual([act])
  })

  it('another body, or another path, under the same key is a conflict and acts not', async () => {
    const { call, node } = await testApi()
    await call('POST', url, body, key('k'))
    const changed = await call(
      'POST',
      url,
      url === '/v1/invoices' ? { amountMsat: 6_000 } : { ...body, ...other(url) },
      key('k'),
    )
    expect([changed.statusCode, changed.json().code]).toEqual([409, 'IDEMPOTENCY_CONFLICT'])
    const elsewhere = url === '/v1/invoices' ? '/v1/payments' : '/v1/invoices'
    const there = elsewhere === '/v1/invoices' ? { amountMsat: 1 } : { nodeId: PEER_ID, amountMsat: 1 }
    expect((await call('POST', elsewhere, there, key('k'))).json().code).toBe('IDEMPOTENCY_CONFLICT')
    expect(node.calls).toEqual([act])
  })

  it('another key, or none, is another request; so is the same key of another client', async () => {
    const { app, call, node, keys } = await testApi()
    await call('POST', url, body, key('k'))
    await call('POST', url, body, key('l'))
    await call('POST', url, body)
    const authorization = `Bearer ${await keys.create('other', ['*'])}`
    await app.inject({ method: 'POST', url, payload: body, headers: { authorization, ...key('k') } })
    expect(node.calls).toEqual([act, act, act, act])
  })

  it('duplicates that come at the same time wait for the first and get its answer; other bodies conflict meanwhile', async () => {
    const { call, node } = await testApi()
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let begun = () => {}
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    node.beforeAct = () => {
      begun()
      return gate
    }
    const calls = Array.from({ length: 10 }, () => call('POST', url, body, key('k')))
    await hasBegun
    const conflicting = call('POST', url, { ...body, ...other(url) }, key('k'))
    expect((await conflicting).json().code).toBe('IDEMPOTENCY_CONFLICT')
    go()
    const answers = await Promise.all(calls)
    expect(new Set(answers.map((a) => a.body)).size).toBe(1)
    expect(node.calls).toEqual([act])
  })

  it('across a restart: what was made is found, and not made again', async () => {
    const before = await testApi()
    const first = await before.call('POST', url, body, key('k'))
    const after = await restarted(before)
    const again = await after.call(first.statusCode === 200 ? 'POST' : 'POST', url, body, key('k'))
    expect([again.statusCode, again.json()]).toEqual([first.statusCode, first.json()])
    expect(after.node.calls).toEqual([])
    expect((await after.call('POST', url, { ...body, ...other(url) }, key('k'))).json().code).toBe(
      'IDEMPOTENCY_CONFLICT',
    )
  })

  it('a crash after the node acted and before it answered: the answer comes from what was made', async () => {
    const before = await testApi()
    // Everything is durable but the API's own note that it is done.
    const put = before.node.apiStore.put.bind(before.node.apiStore)
    before.node.apiStore.put = (name, value) =>
      new TextDecoder().decode(value).includes('"done"') ? new Promise(() => {}) : put(name, value)
    const first = await before.call('POST', url, body, key('k'))
    const after = await restarted(before)
    expect((await after.call('POST', url, body, key('k'))).json()).toEqual(first.json())
    expect(after.node.calls).toEqual([])
  })

  it('a crash before the node acted: the repetition acts, once', async () => {
    const before = await testApi()
    before.node.beforeAct = () => new Promise(() => {})
    void before.call('POST', url, body, key('k'))
    await expect
      .poll(() => [...before.node.apiStore.records.keys()].some((k) => k.startsWith('idempotency/')))
      .toBe(true)
    const after = await restarted(before)
    const answers = [await after.call('POST', url, body, key('k')), await after.call('POST', url, body, key('k'))]
    expect(answers[0]?.json()).toEqual(answers[1]?.json())
    expect(after.node.calls).toEqual([act])
  })

  it('a refusal is remembered, an outage is not', async () => {
    const { call, node } = await testApi()
    let code: 'CHAIN_UNAVAILABLE' | 'INSUFFICIENT_BALANCE' | null = 'CHAIN_UNAVAILABLE'
    node.beforeAct = async () => {
      if (code !== null) throw new ServiceError(code, 'no')
    }
    expect((await call('POST', url, body, key('k'))).statusCode).toBe(503)
    code = 'INSUFFICIENT_BALANCE'
    expect((await call('POST', url, body, key('k'))).json().code).toBe('INSUFFICIENT_BALANCE')
    code = null
    expect((await call('POST', url, body, key('k'))).json()).toMatchObject({
      code: 'INSUFFICIENT_BALANCE',
      detail: 'no',
    })
    expect(node.calls).toEqual([])
    expect((await call('POST', url, body, key('l'))).statusCode).toBeLessThan(300)
  })
})

/** A change that makes it another request. */
const other = (url: string): object =>
  url === '/v1/wallet/transactions'
    ? { outputs: [{ address: ADDRESS, amountSat: 1_001 }] }
    : url === '/v1/channels'
      ? { capacitySat: 100_001 }
      : { amountMsat: 5_001 }

/** A new process over what the old one left on disk: resources, the API's records and its keys. */
async function restarted(before: Awaited<ReturnType<typeof testApi>>) {
  const after = await testApi({ store: survivor(before.node.apiStore) })
  for (const name of ['channelViews', 'invoiceViews', 'paymentViews', 'transactionViews'] as const) {
    for (const [id, view] of before.node[name]) (after.node[name] as Map<string, unknown>).set(id, view)
  }
  after.clock.nowMs = before.clock.nowMs
  const call = (method: string, url: string, body: object, more: Record<string, string>) =>
    after.app.inject({ method: method as 'POST', url, payload: body, headers: { ...before.headers, ...more } })
  return { ...after, call }
}

/** A node that crashes while it pays. */
async function crashedInPay(): Promise<Awaited<ReturnType<typeof testApi>>> {
  const api = await testApi()
  api.node.beforeAct = () => new Promise(() => {})
  void api.call('POST', '/v1/payments', { bolt11: INVOICE }, key('k'))
  await expect.poll(() => [...api.node.apiStore.records.keys()].some((k) => k.startsWith('idempotency/'))).toBe(true)
  return api
}

describe('Idempotency-Key', () => {
  it('a crash while a hash is paid that had failed before: the answer is the payment of that hash', async () => {
    const after = await restarted(await crashedInPay())
    const first = {
      ...(await after.node.pay({ bolt11: INVOICE })),
      paymentHash: INVOICE_HASH,
      status: 'pending' as const,
    }
    after.node.paymentViews.clear()
    after.node.paymentViews.set(first.id, first)
    after.node.beforeAct = async () => {
      throw new ServiceError('PAYMENT_PENDING', 'It is under way.')
    }
    const again = await after.call('POST', '/v1/payments', { bolt11: INVOICE }, key('k'))
    expect([again.statusCode, again.json()]).toMatchObject([202, { id: first.id, paymentHash: INVOICE_HASH }])
    after.node.paymentViews.set(first.id, { ...first, status: 'failed' })
    expect((await after.call('POST', '/v1/payments', { bolt11: INVOICE }, key('k'))).json().code).toBe(
      'PAYMENT_PENDING',
    )
  })

  it('a crash with a loss of data while such a hash is paid: it is not paid again when nobody knows whether it was', async () => {
    const after = await restarted(await crashedInPay())
    const failure = { code: 'OUTCOME_UNKNOWN', detail: 'ask the payee before you pay again' }
    const unknown = paymentView('first', { status: 'failed', payee: PEER_ID }, { bolt11: INVOICE })
    after.node.paymentViews.set('first', { ...unknown, paymentHash: INVOICE_HASH, failure })
    const again = await after.call('POST', '/v1/payments', { bolt11: INVOICE }, key('k'))
    expect([again.statusCode, again.json(), after.node.calls]).toMatchObject([200, { id: 'first', failure }, []])
    const anew = await after.call('POST', '/v1/payments', { bolt11: INVOICE }, key('l'))
    expect([anew.statusCode, after.node.calls]).toEqual([200, ['pay']])
  })

  it('has 1 to 255 visible ASCII characters', async () => {
    const { call, node } = await testApi()
    for (const bad of [' ', 'a b', 'ü', 'x'.repeat(256)]) {
      const answer = await call('POST', '/v1/invoices', { amountMsat: 1 }, key(bad))
      expect([bad, answer.statusCode, answer.json().errors?.[0]]).toMatchObject([
        bad,
        400,
        { in: 'header', pointer: '/idempotency-key' },
      ])
    }
    expect(node.calls).toEqual([])
  })

  it('a request that fails validation uses up nothing', async () => {
    const { call } = await testApi()
    expect((await call('POST', '/v1/invoices', { amountMsat: -1 }, key('k'))).statusCode).toBe(400)
    expect((await call('POST', '/v1/invoices', { amountMsat: 1 }, key('k'))).statusCode).toBe(201)
  })

  it('how long the caller waits does not make another request', async () => {
    const { call, node } = await testApi()
    const pay = { nodeId: PEER_ID, amountMsat: 5_000 }
    const first = await call('POST', '/v1/payments', pay, key('k'))
    expect((await call('POST', '/v1/payments?wait=5', pay, key('k'))).json()).toEqual(first.json())
    expect(node.calls).toEqual(['pay'])
  })

  it('closing a channel again answers with the channel on its way out', async () => {
    const { call, node } = await testApi()
    const { id } = (await call('POST', '/v1/channels', { peer: PEER_ID, capacitySat: 100_000 })).json()
    const close = () => call('POST', `/v1/channels/${id}/close`, {}, key('k'))
    expect((await close()).json().state).toBe('shutdown')
    expect((await close()).json().state).toBe('shutdown')
    expect(node.calls).toEqual(['openChannel', 'closeChannel'])
  })

  it('what was made and is no longer kept is gone, not made again', async () => {
    const { call, node } = await testApi()
    const { id } = (await call('POST', '/v1/invoices', { amountMsat: 1 }, key('k'))).json()
    node.invoiceViews.delete(id)
    expect((await call('POST', '/v1/invoices', { amountMsat: 1 }, key('k'))).json()).toMatchObject({
      status: 410,
      code: 'RESULT_GONE',
    })
    expect(node.calls).toEqual(['createInvoice'])
  })

  it('a payment hash that was paid under another key is found, not paid again', async () => {
    const { call, node } = await testApi()
    const first = await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' }, key('k'))
    const second = await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' }, key('l'))
    expect((await call('POST', '/v1/payments', { bolt11: 'lnbcrt1fake' }, key('l'))).json()).toEqual(second.json())
    expect(second.json().id).toBe(first.json().id)
    expect(node.paymentViews.size).toBe(1)
  })

  it('a close that changes one under way is done after a crash before it was, and once', async () => {
    const before = await testApi()
    const channel = (await before.call('POST', '/v1/channels', { peer: PEER_ID, capacitySat: 100_000 })).json()
    const path = `/v1/channels/${channel.id}/close`
    await before.call('POST', path, {}, key('first'))
    before.node.beforeAct = () => new Promise(() => {})
    void before.call('POST', path, { feerateSatPerVbyte: 50 }, key('raise'))
    const stored = () => [...before.node.apiStore.records.keys()].filter((name) => name.startsWith('idempotency/'))
    await expect.poll(() => stored().length).toBe(2)
    const after = await restarted(before)
    for (let i = 0; i < 2; i++) {
      const answer = await after.call('POST', path, { feerateSatPerVbyte: 50 }, key('raise'))
      expect([answer.statusCode, answer.json().state]).toEqual([202, 'shutdown'])
    }
    expect(after.node.calls).toEqual(['closeChannel'])
  })

  it('what was done is not done again while that it was is on its way to the disk', async () => {
    const { call, node } = await testApi()
    const { id } = await node.openChannel({ peer: PEER_ID, capacitySat: sat(100_000) })
    const close = () => call('POST', `/v1/channels/${id}/close`, { feerateSatPerVbyte: 9 }, key('k'))
    expect((await close()).statusCode).toBe(202)
    let go = (): void => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const commit = node.apiStore.commit.bind(node.apiStore)
    node.apiStore.commit = async (...write) => {
      await gate
      return commit(...write)
    }
    // The next request takes it along.
    const next = call('POST', '/v1/invoices', { amountMsat: 1, description: '' }, key('l'))
    await expect.poll(() => node.calls).toContain('createInvoice')
    expect((await close()).statusCode).toBe(202)
    go()
    await next
    expect((await close()).statusCode).toBe(202)
    expect(node.calls.filter((act) => act === 'closeChannel')).toHaveLength(1)
  })

  it('one that is used anew while its old record is being deleted is remembered', async () => {
    const before = await testApi()
    const body = { nodeId: PEER_ID, amountMsat: 5_000 }
    await before.call('POST', '/v1/payments', body, key('k'))
    const after = await restarted(before)
    const { node, clock, call } = after
    const pay = (name: string) => call('POST', '/v1/payments', body, key(name))
    clock.nowMs += 8 * DAY_MS
    let go = (): void => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const { records } = node.apiStore
    const name = [...records.keys()].find((one) => one.startsWith('idempotency/'))
    let looks = 0
    node.apiStore.get = async (record) => {
      const value = records.get(record)
      if (record === name && looks++ === 0) await gate
      return value
    }
    await pay('other') // looks for what is old
    await expect.poll(() => looks).toBe(1)
    await pay('k')
    go()
    await expect.poll(() => [...records.keys()].filter((one) => one.startsWith('idempotency-age/')).length).toBe(2)
    expect(node.calls).toEqual(['pay', 'pay'])
    // Before it is noted as done, too.
    const last = await restarted({ ...before, node, clock })
    expect((await last.call('POST', '/v1/payments', body, key('k'))).statusCode).toBe(200)
    expect(last.node.calls).toEqual([])
  })

  it('is kept for seven days, and deleted after', async () => {
    const { call, node, clock } = await testApi()
    const create = () => call('POST', '/v1/invoices', { amountMsat: 1 }, key('k'))
    const first = (await create()).json().id
    clock.nowMs += 7 * DAY_MS - 1
    expect((await create()).json().id).toBe(first)
    clock.nowMs += 1
    expect((await create()).json().id).not.toBe(first)

    for (let i = 0; i < 20; i++)
      await call('POST', '/v1/invoices', { amountMsat: 1 }, key(`old ${i}`.replace(' ', '-')))
    clock.nowMs += 8 * DAY_MS
    for (let i = 0; i < 1_001; i++) await call('POST', '/v1/invoices', { amountMsat: 1 }, key(`new-${i}`))
    const kept = () => [...node.apiStore.records.keys()].filter((name) => name.startsWith('idempotency'))
    await expect.poll(() => kept().length).toBe(2 * 1_001)
  })
})
