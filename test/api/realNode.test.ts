import { describe, expect, it } from 'vitest'
import { nodeIdOf } from '../node/world.ts'
import { aliceAndBob, apiOver, invoiceOf } from './realNode.ts'

describe('what a real node refuses', () => {
  it('says in which field the fault is, whichever part of the node found it', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const hold = (
      await call(admin, 'POST', '/v1/invoices', { amountMsat: 1000, description: '', paymentHash: ONES })
    ).json()
    const bolt11 = await invoiceOf(world, 1_000_000)
    const [channel] = (await call(admin, 'GET', '/v1/channels')).json().items
    const { address } = (await call(admin, 'POST', '/v1/wallet/addresses')).json()
    const outputs = (...amounts: number[]) => amounts.map((amountSat) => ({ address, amountSat }))
    const mine = (await call(admin, 'GET', '/v1/wallet/utxos')).json().items[0].outpoint
    const other = `${ONES}:0`
    const refused: readonly (readonly [string, string, object | undefined, string])[] = [
      ['GET', '/v1/channels?cursor=0', undefined, 'query /cursor'],
      ['GET', '/v1/payments?cursor=x', undefined, 'query /cursor'],
      ['POST', '/v1/wallet/psbt/sign', { psbt: 'AAAA' }, 'body /psbt'],
      [
        'POST',
        '/v1/wallet/transactions',
        { outputs: [{ address: 'bcrt1q', amountSat: 1000 }] },
        'body /outputs/0/address',
      ],
      ['POST', `/v1/channels/${channel.id}/close`, { address: '1'.repeat(30) }, 'body /address'],
      ['POST', '/v1/channels', { peer: nodeIdOf('bob'), capacitySat: 1 }, 'body /capacitySat'],
      ['PATCH', `/v1/channels/${channel.id}/policy`, { cltvExpiryDelta: 1 }, 'body /cltvExpiryDelta'],
      ['POST', `/v1/invoices/${hold.id}/settle`, { preimage: ONES }, 'body /preimage'],
      ['POST', '/v1/payments', { bolt11, amountMsat: 1 }, 'body /amountMsat'],
      ['POST', '/v1/payments', { nodeId: nodeIdOf('alice'), amountMsat: 1 }, 'body /nodeId'],
      ['POST', '/v1/peers', { uri: `${nodeIdOf('alice')}@127.0.0.1:9` }, 'body /uri'],
      ['POST', '/v1/peers', { uri: `02${'ff'.repeat(32)}@127.0.0.1:9` }, 'body /uri'],
      ['POST', '/v1/channels', { peer: `${nodeIdOf('alice')}@127.0.0.1:9`, capacitySat: 100_000 }, 'body /peer'],
      ['POST', '/v1/wallet/transactions', { outputs: outputs(1_000, 1) }, 'body /outputs/1/amountSat'],
      ['POST', '/v1/wallet/transactions', { outputs: outputs(1_000), utxos: [mine, other] }, 'body /utxos/1'],
      ['POST', '/v1/wallet/psbt/create', { outputs: outputs(1_000), utxos: [other] }, 'body /utxos/0'],
    ]
    for (const [method, url, body, field] of refused) {
      const problem = (await call(admin, method, url, body)).json()
      const found = (problem.errors ?? []).map((e: { in: string; pointer: string }) => `${e.in} ${e.pointer}`)
      expect([method, url, problem.code, found]).toEqual([method, url, 'VALIDATION_FAILED', [field]])
    }
    const two = {
      outputs: [
        ...outputs(1_000),
        { address: '1'.repeat(30), amountSat: 1 },
        { address: 'x'.repeat(30), amountSat: 1 },
      ],
    }
    const problem = (await call(admin, 'POST', '/v1/wallet/transactions', two)).json()
    expect(problem.errors.map((e: { pointer: string }) => e.pointer)).toEqual([
      '/outputs/1/address',
      '/outputs/2/address',
    ])
    for (const { detail } of problem.errors) expect(problem.detail).toContain(detail)
    const block = await call(admin, 'GET', `/v1/chain/blocks/${ONES}`)
    expect([block.statusCode, block.json().code]).toEqual([404, 'NOT_FOUND'])
  })
})
const ONES = '11'.repeat(32)

describe('what a real node answers', () => {
  it('counts the confirmations of a transaction in any block', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const { height } = (await call(admin, 'GET', '/v1/chain')).json()
    expect(height).toBeGreaterThan(105)
    for (const block of [1, height - 1]) {
      const [txid] = (await call(admin, 'GET', `/v1/chain/blocks/${block}`)).json().txids
      const { confirmations } = (await call(admin, 'GET', `/v1/chain/transactions/${txid}`)).json()
      expect([block, confirmations]).toEqual([block, height - block + 1])
    }
    const { status, detail } = (await call(admin, 'GET', `/v1/chain/transactions/${ONES}`)).json()
    expect([status, detail]).toEqual([404, expect.stringContaining('txindex=1')])
  })

  it('finds a channel by its short channel id, too', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const [channel] = (await call(admin, 'GET', '/v1/channels')).json().items
    for (const name of [channel.id, channel.channelId, channel.channelId.toUpperCase(), channel.shortChannelId])
      expect((await call(admin, 'GET', `/v1/channels/${name}`)).json().id).toBe(channel.id)
    expect((await call(admin, 'GET', '/v1/channels/1x2x3')).statusCode).toBe(404)
  })

  it('puts 639 bytes of description into an invoice, and more only as a hash', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const create = async (body: object) => (await call(admin, 'POST', '/v1/invoices', body)).json()
    const long = 'é'.repeat(320) // 640 bytes, though only 320 characters
    expect(await create({ description: long })).toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ in: 'body', pointer: '/description' }],
    })
    const fits = await create({ description: long.slice(1) })
    expect(fits).toMatchObject({ status: 'open', description: long.slice(1), descriptionHash: null })
    const hashed = await create({ descriptionHash: ONES })
    expect(hashed).toMatchObject({ status: 'open', description: null, descriptionHash: ONES })
    expect(await call(admin, 'POST', '/v1/decode', { text: hashed.bolt11 }).then((a) => a.json())).toMatchObject({
      description: null,
      descriptionHash: ONES,
    })
  })
})

describe('an Idempotency-Key over a real node', () => {
  it('is on disk with what the request makes, and costs no write of its own', async () => {
    const world = await aliceAndBob()
    const { keys, call } = await apiOver(world)
    const admin = (await world.attempt(keys.create('admin', ['*'])))!
    const { address } = (await call(admin, 'POST', '/v1/wallet/addresses')).json()
    const bolt11 = await invoiceOf(world, 1_000_000)
    const requests: readonly (readonly [string, object, string])[] = [
      ['/v1/invoices', { amountMsat: 1_000, description: 'a book' }, 'invoice/'],
      ['/v1/payments', { bolt11 }, 'payment/'],
      ['/v1/wallet/transactions', { outputs: [{ address, amountSat: 20_000 }] }, 'wallet/'],
    ]
    for (const [url, body, made] of requests) {
      const batches: (readonly string[])[] = []
      world.of('alice').disk.judge = (ops) => {
        batches.push(ops.map((op) => op.key))
        return null
      }
      expect((await call(admin, 'POST', url, body)).statusCode).toBeLessThan(300)
      const first = (prefix: string) => batches.findIndex((names) => names.some((key) => key.startsWith(prefix)))
      expect([url, first('api/idempotency-age/'), first(made)]).toEqual([url, 0, 0])
    }
  })
})
