import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createKey } from '../../src/api/auth/keyChanges.ts'
import type { Budget } from '../../src/api/auth/keyRecord.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { Spending } from '../../src/api/spending.ts'
import type { PaymentHash } from '../../src/base/ids.ts'
import { msat, sat } from '../../src/base/units.ts'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { ServiceError } from '../../src/node/errors.ts'
import type { PaymentView } from '../../src/node/service.ts'
import { FakeNode, PEER_ID } from './fakeNode.ts'
import type { FakeStore } from './fakeStore.ts'
import { paymentView } from './fakeViews.ts'
import { testApi } from './harness.ts'

/** The first example of BOLT 11. */
const INVOICE =
  'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql'

/** A node whose payments stay pending until the test ends them, with a parent key and a child that it made. */
async function spender(budgets: { parent?: Budget; child?: Budget }, store?: FakeStore, known?: FakeNode) {
  const node = known ?? new FakeNode(store)
  node.paymentStatus = 'pending'
  const clock = { now: Date.UTC(2026, 0, 1) }
  const keys = await KeyRing.open(node.apiStore, () => clock.now)
  const make = async (createdBy: string | null, budget: Budget | undefined) => {
    const settings = { name: 'k', scopes: ['*'] as const, expiresAt: null, allowedCidrs: [], rateLimit: null }
    const more = { budget: budget ?? null, rotateEverySeconds: null, metadata: {} }
    const { record } = createKey({ ...settings, ...more }, { createdBy, activatesAt: clock.now, now: clock.now })
    await keys.change(() => ({ records: [record], facts: [] }))
    return { keyId: record.id, version: 1, scopes: record.scopes }
  }
  const parent = await make(null, budgets.parent)
  const child = await make(parent.keyId, budgets.child)
  const spending = new Spending(node, keys)
  await spending.budgets.load()
  const pay = (caller: typeof parent, amount: number, maxFee: number) =>
    spending.pay(caller, { nodeId: PEER_ID, amountMsat: msat(amount), maxFeeMsat: msat(maxFee) })
  const end = async (
    view: PaymentView,
    status: 'succeeded' | 'failed',
    fee = 0,
    failure: PaymentView['failure'] = null,
  ) => {
    node.paymentViews.set(view.id, { ...view, status, feeMsat: msat(fee), failure })
    node.emit(`payment.${status}`, { id: view.id, paymentHash: view.paymentHash })
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { node, keys, clock, parent, child, spending, pay, end }
}

const left = ({ maxMsat, spentMsat, reservedMsat }: { maxMsat: number; spentMsat: number; reservedMsat: number }) =>
  maxMsat - spentMsat - reservedMsat

describe('spending budgets', () => {
  it('refuse a bump, as anything else, when more was spent than the budget is now', async () => {
    const { spending, pay, end, child, keys, node } = await spender({ child: { maxMsat: 10_000, periodSeconds: null } })
    await end(await pay(child, 6_000, 0), 'succeeded')
    const { record } = keys.entry(child.keyId)
    const lower = { ...record, budget: { maxMsat: 1_000, periodSeconds: null } }
    await keys.change(() => ({ records: [lower], facts: [] }))
    const { txid } = await node.sendOnChain({ outputs: [] })
    await expect(spending.bump(child, txid, {})).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    expect(node.calls).not.toContain('bumpTransaction')
  })

  it('say what of a refused call is its fee at most, and the fee with which a payment fits', async () => {
    const { spending, pay, child } = await spender({ child: { maxMsat: 100_000, periodSeconds: null } })
    const all =
      'This may cost up to 100500 msat, 99000 msat and a fee of at most 1500 msat; the budget has 100000 msat left.'
    const fits = `${all} With a maxFeeMsat of 1000 it fits.`
    await expect(pay(child, 99_000, 1_500)).rejects.toMatchObject({ message: fits })
    await pay(child, 99_000, 1_000)
    const open = { peer: PEER_ID, capacitySat: sat(100_000), feerateSatPerVbyte: 1 }
    await expect(spending.open(child, open)).rejects.toThrow(
      /^This may cost up to \d+ msat; the budget has 0 msat left\.$/,
    )
  })

  it('say it of the key with the least left: with less for the fee the payment does fit', async () => {
    const [parent, child] = [60_000, 100_000].map((maxMsat) => ({ maxMsat, periodSeconds: null })) as [Budget, Budget]
    const { pay, child: key } = await spender({ parent, child })
    await expect(pay(key, 50_000, 55_000)).rejects.toThrow('60000 msat left. With a maxFeeMsat of 10000 it fits.')
    await pay(key, 50_000, 10_000)
  })

  it('reserve amount and greatest fee when a payment starts, and settle what it cost when it ends', async () => {
    const { spending, pay, end, child } = await spender({ child: { maxMsat: 1_000, periodSeconds: null } })
    const view = () => spending.budgets.view(child.keyId)
    const payment = await pay(child, 600, 100)
    expect(view()).toMatchObject({ spentMsat: 0, reservedMsat: 700, resetsAt: null })
    await expect(pay(child, 301, 0)).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    await end(payment, 'succeeded', 30)
    expect(view()).toMatchObject({ spentMsat: 630, reservedMsat: 0 })
    const failing = await pay(child, 370, 0)
    await end(failing, 'failed')
    expect(view()).toMatchObject({ spentMsat: 630, reservedMsat: 0 })
  })

  it('count a payment in full of which nobody knows whether it was paid', async () => {
    const { spending, pay, end, child } = await spender({ child: { maxMsat: 1_000, periodSeconds: null } })
    await end(await pay(child, 600, 100), 'failed', 0, { code: 'OUTCOME_UNKNOWN', detail: 'ask the payee' })
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 700, reservedMsat: 0 })
  })

  it('count nothing for a later try of it that has failed', async () => {
    const { spending, pay, end, child } = await spender({ child: { maxMsat: 2_000, periodSeconds: null } })
    const unknown = { code: 'OUTCOME_UNKNOWN', detail: 'ask the payee' }
    await end(await pay(child, 600, 100), 'failed', 0, unknown)
    await end(await pay(child, 600, 100), 'failed', 0, { ...unknown, isOfEarlier: true })
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 700, reservedMsat: 0 })
  })

  it('a payment that the node refuses reserves nothing', async () => {
    const { spending, pay, child, node } = await spender({ child: { maxMsat: 1_000, periodSeconds: null } })
    node.beforeAct = async () => {
      throw new ServiceError('NO_ROUTE', 'none')
    }
    await expect(pay(child, 500, 0)).rejects.toMatchObject({ code: 'NO_ROUTE' })
    expect(left(spending.budgets.view(child.keyId)!)).toBe(1_000)
  })

  it('the reservation is on disk before the payment starts, and a key without a budget writes none', async () => {
    const { pay, child, parent, node } = await spender({ child: { maxMsat: 1_000, periodSeconds: null } })
    const open = () => [...node.apiStore.records.keys()].filter((name) => name.startsWith('budget-open/')).length
    const seen: number[] = []
    node.beforeAct = async () => void seen.push(open())
    await pay(child, 1, 0)
    await pay(parent, 1_000_000, 0)
    expect([seen, open()]).toEqual([[1, 1], 1])
  })

  it('periods follow one another; what began in one counts in that one', async () => {
    const { spending, pay, end, child, clock } = await spender({ child: { maxMsat: 1_000, periodSeconds: 60 } })
    const slow = await pay(child, 900, 0)
    clock.now += 60_000
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 0, reservedMsat: 0 })
    await end(await pay(child, 1_000, 0), 'succeeded')
    await end(slow, 'succeeded')
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 1_000, reservedMsat: 0 })
    await expect(pay(child, 1, 0)).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
  })

  it('what a restart finds set aside counts in the period in which it began, though nothing was settled in that', async () => {
    const world = await spender({ child: { maxMsat: 1_000, periodSeconds: 60 } })
    const { node, keys, clock, child, pay, end } = world
    await end(await pay(child, 700, 0), 'succeeded')
    clock.now += 70_000
    const slow = await pay(child, 900, 0)
    world.spending.close()
    const spending = new Spending(node, keys)
    await spending.budgets.load()
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 0, reservedMsat: 900 })
    const more = spending.pay(child, { nodeId: PEER_ID, amountMsat: msat(101), maxFeeMsat: msat(0) })
    await expect(more).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    await end(slow, 'succeeded')
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 900, reservedMsat: 0 })
    spending.close()
  })

  it('wallet sends count with their fee, and the wallet is told the most that it may pay', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 1_500_000, periodSeconds: null } })
    const outputs = [{ address: 'bcrt1q', amountSat: sat(1_000) }]
    let most: bigint | undefined
    const send = node.sendOnChain.bind(node)
    node.sendOnChain = async (request) => {
      most = request.maxFeeSat
      return send(request)
    }
    await spending.send(child, { outputs })
    expect(most).toBe(500n)
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 1_200_000, reservedMsat: 0 })
    await expect(spending.send(child, { outputs })).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
  })

  it('a send without a feerate sets aside what its fee can come to, however many coins the wallet has', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 10_000_000, periodSeconds: null } })
    const [coin] = await node.utxos()
    node.utxos = async () => Array.from({ length: 1_000 }, () => ({ ...coin!, amountSat: sat(100_000) }))
    const asked: unknown[] = []
    const reserved: unknown[] = []
    node.sendOnChain = async ({ maxFeeSat, feerateSatPerVbyte }) => {
      asked.push([maxFeeSat! < 1_000n, feerateSatPerVbyte])
      reserved.push(spending.budgets.view(child.keyId)?.reservedMsat)
      throw new ServiceError('INSUFFICIENT_BALANCE', 'It was asked.')
    }
    const outputs = [{ address: 'bcrt1q', amountSat: sat(1_000) }]
    for (const utxos of [undefined, [coin!.outpoint]])
      await expect(spending.send(child, { outputs, ...(utxos && { utxos }) })).rejects.toThrow('It was asked.')
    expect(asked).toEqual([
      [true, 1.5],
      [true, 1.5],
    ])
    for (const msat of reserved) expect(msat).toBeLessThan(2_000_000)
  })

  it('pushMsat and the funding fee count when a channel opens, and a close to an address counts our whole side', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 200_000_000, periodSeconds: null } })
    const open = { peer: PEER_ID, capacitySat: sat(100_000), pushMsat: msat(5_000_000) }
    const channel = await spending.open(child, open)
    const reserved = spending.budgets.view(child.keyId)?.reservedMsat ?? 0
    expect(reserved).toBeGreaterThan(5_000_000)
    const fee = { feeSat: sat(150), netSat: -100_150n, txid: '66'.repeat(32), id: 'x', blockHeight: null }
    node.walletTransaction = async () => ({ ...fee, label: null, hex: '', createdAt: '' }) as never
    node.emit('channel.ready', { id: channel.id })
    await new Promise((resolve) => setImmediate(resolve))
    expect(spending.budgets.view(child.keyId)).toMatchObject({ spentMsat: 5_150_000, reservedMsat: 0 })
    await spending.closeChannel(child, channel.id, { address: 'bcrt1q' })
    expect(spending.budgets.view(child.keyId)?.spentMsat).toBe(5_150_000 + 95_000_000)
  })

  it('a close to an address counts what may yet come to our side, too', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 50_000_000, periodSeconds: null } })
    const view = await node.openChannel({ peer: PEER_ID, capacitySat: sat(100_000), pushMsat: msat(100_000_000) })
    const htlc = { paymentHash: '11'.repeat(32) as PaymentHash, cltvExpiry: 200, state: 'pending' }
    const htlcs = [
      { ...htlc, id: 0, direction: 'in' as const, amountMsat: msat(20_000_000) },
      { ...htlc, id: 0, direction: 'out' as const, amountMsat: msat(40_000_000) },
    ]
    node.channelViews.set(view.id, { ...view, htlcs })
    const close = () => spending.closeChannel(child, view.id, { address: 'bcrt1q' })
    await expect(close()).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    node.channelViews.set(view.id, { ...view, htlcs: htlcs.slice(1) })
    await close()
    expect(spending.budgets.view(child.keyId)?.spentMsat).toBe(40_000_000)
  })

  it('each raise of a closing fee counts, a repeated request does not', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 10_000_000, periodSeconds: null } })
    const channel = await spending.open(child, { peer: PEER_ID, capacitySat: sat(100_000), feerateSatPerVbyte: 1 })
    node.emit('channel.closed', { id: channel.id })
    const view = await node.channel(channel.id)
    node.channel = async () => ({ ...view, state: 'closing' })
    const counted = () => {
      const budget = spending.budgets.view(child.keyId)!
      return budget.spentMsat + budget.reservedMsat
    }
    const before = counted()
    await spending.closeChannel(child, channel.id, {})
    expect(counted()).toBe(before)
    await spending.closeChannel(child, channel.id, { feerateSatPerVbyte: 10 })
    expect(counted()).toBe(before + 2_000_000)
    await expect(spending.closeChannel(child, channel.id, { feerateSatPerVbyte: 50 })).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    })
  })

  it('what happens while a call is on its way to the node frees nothing: the node does not know of it yet', async () => {
    const { spending, child, node } = await spender({ child: { maxMsat: 200_000_000, periodSeconds: null } })
    const counted = () => {
      const { spentMsat, reservedMsat } = spending.budgets.view(child.keyId)!
      return spentMsat + reservedMsat
    }
    const tell = async (type: string, data: Record<string, unknown>) => {
      node.emit(type, data)
      await new Promise((resolve) => setImmediate(resolve))
    }
    // Somebody's send is told of in the moment in which a channel is opened that gives money to its peer.
    node.beforeAct = () => tell('wallet.transaction', { txid: '66'.repeat(32) })
    const channel = await spending.open(child, { peer: PEER_ID, capacitySat: sat(100_000), pushMsat: msat(5_000_000) })
    expect(counted()).toBeGreaterThan(5_000_000)
    const opened = counted()
    // The end of an earlier payment of an invoice is told of when that is paid once more.
    const earlier = paymentView('earlier', { status: 'failed', payee: PEER_ID }, { bolt11: INVOICE })
    const { paymentHash } = decodeInvoice(INVOICE)
    node.paymentViews.set('earlier', { ...earlier, paymentHash, createdAt: '2020-01-01T00:00:00.000Z' })
    node.beforeAct = () => tell('payment.failed', { id: 'earlier', paymentHash })
    await spending.pay(child, { bolt11: INVOICE, amountMsat: msat(1_000_000), maxFeeMsat: msat(0) })
    expect(counted()).toBe(opened + 1_000_000)
    // A close to an address takes our whole side: 95,000 sat.
    node.beforeAct = () => tell('channel.ready', { id: channel.id })
    await spending.closeChannel(child, channel.id, { address: 'bcrt1q' })
    expect(counted()).toBe(opened + 96_000_000)
  })

  it('a refusal over REST is a 403 that says what is left', async () => {
    const { call, app } = await testApi()
    const made = (await call('POST', '/v1/keys', { name: 'b', preset: 'spend', budget: { maxMsat: 1_000 } })).json()
    const headers = { authorization: `Bearer ${made.secret}` }
    const payload = { nodeId: PEER_ID, amountMsat: 999, maxFeeMsat: 2 }
    const refused = await app.inject({ method: 'POST', url: '/v1/payments', headers, payload })
    expect([refused.statusCode, refused.json().code]).toEqual([403, 'BUDGET_EXCEEDED'])
    expect(refused.json().detail).toContain('1000 msat left')
    const lists = (await call('GET', `/v1/keys/${made.id}`)).json()
    expect(lists.budget).toMatchObject({ maxMsat: 1_000, spentMsat: 0, reservedMsat: 0 })
  })

  it('property: random parallel payments, crashes in between, never cost more than any budget of the chain', async () => {
    const step = fc.record({
      who: fc.constantFrom('parent' as const, 'child' as const),
      amount: fc.integer({ min: 1, max: 400 }),
      maxFee: fc.integer({ min: 0, max: 50 }),
      fate: fc.constantFrom('succeeds', 'fails', 'refused', 'stays'),
      crash: fc.boolean(),
    })
    const budget = fc.record({ maxMsat: fc.integer({ min: 1, max: 1_500 }), periodSeconds: fc.constant(null) })
    await fc.assert(
      fc.asyncProperty(
        budget,
        fc.integer({ min: 1, max: 1_500 }),
        fc.array(step, { maxLength: 25 }),
        async (parentBudget, max, steps) => {
          const world = await spender({ parent: parentBudget, child: { maxMsat: max, periodSeconds: null } })
          let { spending } = world
          const { node, parent, child, keys, end } = world
          const by = new Map<string, string>()
          const started: Promise<void>[] = []
          node.beforeAct = async () => {
            if (refuse) throw new ServiceError('NO_ROUTE', 'none')
          }
          let refuse = false
          const cost = (keyId: string) =>
            [...node.paymentViews.values()]
              .filter((p) => keyId === parent.keyId || by.get(p.id) === keyId)
              .reduce((sum, p) => sum + (p.status === 'succeeded' ? Number(p.amountMsat + p.feeMsat) : 0), 0)
          for (const { who, amount, maxFee, fate, crash } of steps) {
            const caller = who === 'parent' ? parent : child
            refuse = fate === 'refused'
            const request = { nodeId: PEER_ID, amountMsat: msat(amount), maxFeeMsat: msat(maxFee) }
            const run = spending.pay(caller, request).then(
              async (view) => {
                by.set(view.id, caller.keyId)
                if (fate === 'succeeds') await end(view, 'succeeded', maxFee)
                if (fate === 'fails') await end(view, 'failed')
              },
              (error) => expect(['BUDGET_EXCEEDED', 'NO_ROUTE']).toContain(error.code),
            )
            started.push(run)
            if (!crash) continue
            await Promise.all(started)
            spending.close()
            spending = new Spending(node, keys)
            await spending.budgets.load()
          }
          await Promise.all(started)
          // Whatever is still pending may yet succeed.
          for (const view of [...node.paymentViews.values()])
            if (view.status === 'pending') await end(view, 'succeeded', 0)
          expect(cost(parent.keyId)).toBeLessThanOrEqual(parentBudget.maxMsat)
          expect(cost(child.keyId)).toBeLessThanOrEqual(max)
          expect(spending.budgets.view(parent.keyId)).toMatchObject({ spentMsat: cost(parent.keyId), reservedMsat: 0 })
        },
      ),
      { numRuns: 60 },
    )
  })
})
