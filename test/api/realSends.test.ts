import { describe, expect, it } from 'vitest'
import { sat } from '../../src/base/units.ts'
import { nodeIdOf } from '../node/world.ts'
import { aliceAndBob, apiOver, budgetedKey, invoiceOf } from './realNode.ts'

describe('budgets over a real node', () => {
  it('a payment, a send and an opening each count what they cost in the end', async () => {
    const world = await aliceAndBob()
    const { secret, call, budget } = await budgetedKey(world, 400_000_000)
    const paid = await call(secret, 'POST', '/v1/payments', { bolt11: await invoiceOf(world, 1_000_000) })
    expect(paid.statusCode).toBe(202)
    expect(await budget()).toMatchObject({ spentMsat: 0, reservedMsat: 1_010_000 })
    await world.settle()
    expect(await budget()).toMatchObject({ spentMsat: 1_000_000, reservedMsat: 0 })

    const { address } = (await call(secret, 'POST', '/v1/wallet/addresses')).json()
    const sent = await call(secret, 'POST', '/v1/wallet/transactions', { outputs: [{ address, amountSat: 20_000 }] })
    expect(sent.statusCode).toBe(201)
    const afterSend = 1_000_000 + 1_000 * (20_000 + sent.json().feeSat)
    expect(await budget()).toMatchObject({ spentMsat: afterSend, reservedMsat: 0 })
    await world.mine(1)

    const open = { peer: nodeIdOf('bob'), capacitySat: 300_000, pushMsat: 7_000_000 }
    const opening = call(secret, 'POST', '/v1/channels', open)
    const settled = (async () => {
      for (let i = 0; i < 5; i++) await world.settle()
    })()
    const channel = (await opening).json()
    await settled
    await world.settle()
    const funding = (await call(secret, 'GET', `/v1/channels/${channel.id}`)).json().funding.split(':')[0]
    const { feeSat, netSat } = (await call(secret, 'GET', `/v1/wallet/transactions/${funding}`)).json()
    expect(netSat).toBe(-300_000 - feeSat)
    expect(await budget()).toMatchObject({ spentMsat: afterSend + 7_000_000 + 1_000 * feeSat, reservedMsat: 0 })
  })

  it('a bump counts its fee and stays within what is left; a PSBT is signed for no key with a budget', async () => {
    const world = await aliceAndBob()
    const { admin, secret, call, budget } = await budgetedKey(world, 400_000_000)
    const { address } = (await call(secret, 'POST', '/v1/wallet/addresses')).json()
    const outputs = [{ address, amountSat: 20_000 }]
    const sent = (await call(secret, 'POST', '/v1/wallet/transactions', { outputs, feerateSatPerVbyte: 2 })).json()
    const path = `/v1/wallet/transactions/${sent.txid}/bump`
    const bumped = await call(secret, 'POST', path, { feerateSatPerVbyte: 8 })
    expect(bumped.statusCode).toBe(201)
    expect(world.chain.mempool.get(bumped.json().txid)?.fee).toBe(BigInt(bumped.json().feeSat))
    expect(world.chain.mempool.get(sent.txid)).toBeUndefined()
    const statusOf = async ({ txid }: { txid: string }) =>
      (await call(secret, 'GET', `/v1/wallet/transactions/${txid}`)).json().status
    expect([sent.status, await statusOf(sent), await statusOf(bumped.json())]).toEqual([
      'unconfirmed',
      'dropped',
      'unconfirmed',
    ])
    const spentMsat = 1_000 * (20_000 + sent.feeSat + bumped.json().feeSat)
    expect(await budget()).toMatchObject({ spentMsat, reservedMsat: 0 })

    const poor = (
      await call(admin, 'POST', '/v1/keys', { name: 'p', scopes: ['*'], budget: { maxMsat: 9_000 } })
    ).json()
    const beyond = await call(poor.secret, 'POST', `/v1/wallet/transactions/${bumped.json().txid}/bump`)
    expect([beyond.statusCode, beyond.json().code]).toEqual([422, 'LIMIT_EXCEEDED'])

    const made = await call(secret, 'POST', '/v1/wallet/psbt/create', { outputs })
    expect(made.statusCode).toBe(201)
    const { psbt } = made.json()
    expect((await call(secret, 'POST', '/v1/wallet/psbt/sign', { psbt })).json().code).toBe('BUDGET_EXCEEDED')
    const signed = (await call(admin, 'POST', '/v1/wallet/psbt/sign', { psbt })).json()
    const final = (await call(admin, 'POST', '/v1/wallet/psbt/finalise', { psbt: signed.psbt })).json()
    expect(final).toMatchObject({ complete: true, txid: made.json().txid })
    const broadcast = await call(admin, 'POST', '/v1/wallet/psbt/broadcast', { psbt: final.psbt })
    expect(broadcast.json()).toMatchObject({ txid: final.txid, label: 'psbt', hex: final.hex })
    const other = (await call(admin, 'POST', '/v1/wallet/psbt/create', { outputs })).json()
    const coins = async (query: string) => (await call(admin, 'GET', `/v1/wallet/utxos?${query}`)).json().items
    expect((await coins('locked=true')).length).toBeGreaterThan(0)
    expect((await coins('minConfirmations=1')).every((u: { confirmations: number }) => u.confirmations > 0)).toBe(true)
    expect((await call(admin, 'POST', '/v1/wallet/psbt/release', { psbt: other.psbt })).statusCode).toBe(204)
    expect(await coins('locked=true')).toEqual([])
  })

  it('a crash while a payment is under way forgets neither the reservation nor what it cost', async () => {
    const world = await aliceAndBob()
    const { admin, id, secret, call } = await budgetedKey(world, 2_000_000)
    await call(secret, 'POST', '/v1/payments', { bolt11: await invoiceOf(world, 1_500_000) })
    await world.restart('alice')
    const after = await apiOver(world)
    const budget = async () => (await after.call(admin, 'GET', `/v1/keys/${id}`)).json().budget
    expect(await budget()).toMatchObject({ spentMsat: 0, reservedMsat: 1_515_000 })
    const second = await after.call(secret, 'POST', '/v1/payments', { bolt11: await invoiceOf(world, 600_000) })
    expect(second.json().code).toBe('BUDGET_EXCEEDED')
    world.connectAll()
    await world.settle()
    const { spentMsat, reservedMsat } = await budget()
    expect([0, 1_500_000]).toContain(spentMsat) // it may have failed before it was sent
    expect(reservedMsat).toBe(0)
  })
})

describe('a send on chain', () => {
  it('is found by its local id after a crash, so that a repeated call does not send again', async () => {
    const world = await aliceAndBob()
    const { api } = world.of('alice')
    const { address } = (await world.attempt(api.newAddress()))!
    const id = api.newId()
    const outputs = [{ address, amountSat: sat(30_000) }]
    const sent = (await world.attempt(api.sendOnChain({ id, outputs })))!
    await world.restart('alice')
    expect((await world.of('alice').api.walletTransaction(id)).txid).toBe(sent.txid)
  })

  it('is not made when its fee would be more than allowed, and locks nothing', async () => {
    const world = await aliceAndBob()
    const { api } = world.of('alice')
    const { address } = (await world.attempt(api.newAddress()))!
    const outputs = [{ address, amountSat: sat(30_000) }]
    const refused = world.attempt(api.sendOnChain({ outputs, maxFeeSat: sat(1) }))
    await expect(refused).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect((await api.utxos()).some((utxo) => utxo.locked)).toBe(false)
    expect((await api.walletTransactions({ limit: 10 })).items.every((tx) => tx.label !== 'send')).toBe(true)
  })

  it('of all leaves what open channels need, and counts once however often it is asked for', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const address = (await world.attempt(world.of('bob').api.newAddress()))!.address
    const send = (outputs: object, more: object = {}, path = 'transactions') =>
      call(admin, 'POST', `/v1/wallet/${path}`, { outputs, ...more })
    const all = [{ address, amountSat: 'all' }]
    const beside = (await send([{ address, amountSat: 5_000 }, ...all])).json()
    expect([beside.code, beside.errors[0].pointer]).toEqual(['VALIDATION_FAILED', '/outputs/1/amountSat'])
    expect((await send([...all, ...all])).json().errors[0].pointer).toBe('/outputs/0/amountSat')
    const elsewhere = (await send([{ address: '1'.repeat(30), amountSat: 'all' }])).json()
    expect(elsewhere.errors[0].pointer).toBe('/outputs/0/address')

    const { confirmedSat, reservedSat } = (await call(admin, 'GET', '/v1/wallet')).json()
    expect(reservedSat).toBe(10_000)
    const made = (await send(all, {}, 'psbt/create')).json()
    expect(made).toMatchObject({ complete: false, feeSat: expect.any(Number) })
    // What the PSBT has reserved is not there to be sent.
    expect((await send(all)).json().code).toBe('INSUFFICIENT_BALANCE')
    expect((await call(admin, 'POST', '/v1/wallet/psbt/release', { psbt: made.psbt })).statusCode).toBe(204)

    const id = world.of('alice').api.newId()
    const request = { id, outputs: [{ address, amountSat: 'all' }] as const, feerateSatPerVbyte: 2 }
    const sent = (await world.attempt(world.of('alice').api.sendOnChain(request)))!
    expect(Number(-sent.netSat)).toBe(confirmedSat - reservedSat)
    expect(world.chain.mempool.get(sent.txid)?.fee).toBe(sent.feeSat)
    await world.restart('alice')
    expect((await world.of('alice').api.walletTransaction(id)).txid).toBe(sent.txid)
    await world.mine(1)
    const after = (await world.attempt(world.of('alice').api.wallet()))!
    expect([after.confirmedSat, after.unconfirmedSat]).toEqual([10_000n, 0n])
    await expect(world.attempt(world.of('alice').api.sendOnChain(request))).rejects.toMatchObject({
      code: 'INSUFFICIENT_BALANCE',
    })
  })

  it('of all stays within the budget of its key, before anything leaves', async () => {
    const world = await aliceAndBob()
    const { admin, secret, call, budget } = await budgetedKey(world, 30_000_000)
    const { address } = (await call(admin, 'POST', '/v1/wallet/addresses')).json()
    const away = (await world.attempt(world.of('bob').api.newAddress()))!.address
    await call(admin, 'POST', '/v1/wallet/transactions', { outputs: [{ address, amountSat: 20_000 }] })
    await world.mine(1)
    const coins = async () => (await call(admin, 'GET', '/v1/wallet/utxos')).json().items
    const before = await coins()
    const send = (utxos?: readonly string[]) =>
      call(secret, 'POST', '/v1/wallet/transactions', { outputs: [{ address: away, amountSat: 'all' }], utxos })
    const refused = await send()
    expect([refused.statusCode, refused.json().code]).toEqual([422, 'LIMIT_EXCEEDED'])
    expect(refused.json().detail).toContain('30000 sat are allowed')
    expect([await coins(), await budget()]).toMatchObject([before, { spentMsat: 0, reservedMsat: 0 }])
    expect(world.chain.mempool.size).toBe(0)

    const coin = before.find((u: { address: string }) => u.address === address)
    const sent = await send([coin.outpoint])
    expect([sent.statusCode, sent.json().netSat]).toEqual([201, -20_000])
    expect(await budget()).toMatchObject({ spentMsat: 20_000_000, reservedMsat: 0 })
    // The ten thousand that are left allow for no other coin.
    expect((await send()).json().code).toBe('LIMIT_EXCEEDED')
    expect(await budget()).toMatchObject({ spentMsat: 20_000_000, reservedMsat: 0 })
  })
})
