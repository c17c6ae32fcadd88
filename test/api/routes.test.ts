import { describe, expect, it } from 'vitest'
import { decodeInvoice } from '../../src/invoice/bolt11.ts'
import { ServiceError } from '../../src/node/errors.ts'
import type { NodeService } from '../../src/node/service.ts'
import { type FakeNode, NODE_ID, PEER_ID } from './fakeNode.ts'
import { testApi } from './harness.ts'

const ADDRESS = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080'
const HASH = 'AB'.repeat(32)

/** What the node was asked, as the arguments of one method. */
function recorded<M extends keyof NodeService>(node: FakeNode, method: M): unknown[][] {
  const calls: unknown[][] = []
  const real = (node[method] as (...args: unknown[]) => unknown).bind(node)
  Object.assign(node, {
    [method]: (...args: unknown[]) => {
      calls.push(args)
      return real(...args)
    },
  })
  return calls
}

describe('translation of requests', () => {
  it('a channel: amounts become bigints, ids lower case, the peer is connected first when its address is given', async () => {
    const { call, node } = await testApi()
    const opens = recorded(node, 'openChannel')
    const connects = recorded(node, 'connectPeer')
    const peer = `${PEER_ID.toUpperCase()}@[fd00::1]:19735`
    const answer = await call('POST', '/v1/channels', {
      peer,
      capacitySat: 100_000,
      pushMsat: 5,
      feerateSatPerVbyte: 1.5,
      announce: true,
    })
    expect(answer.statusCode).toBe(200)
    expect(connects).toEqual([[{ nodeId: PEER_ID, host: 'fd00::1', port: 19_735 }]])
    expect(opens).toEqual([
      [{ peer: PEER_ID, capacitySat: 100_000n, pushMsat: 5n, feerateSatPerVbyte: 1.5, announce: true }],
    ])
    await call('POST', '/v1/channels', { peer: `${PEER_ID}@example.org`, capacitySat: 1 })
    expect(connects[1]).toEqual([{ nodeId: PEER_ID, host: 'example.org', port: 9735 }])
  })

  it('payments, invoices and transactions', async () => {
    const { call, node, bearer } = await testApi()
    const keyId = bearer.split('_')[1]
    const pays = recorded(node, 'pay')
    const invoices = recorded(node, 'createInvoice')
    const sends = recorded(node, 'sendOnChain')
    await call('POST', '/v1/payments', {
      bolt11: 'lnbcrt1fake',
      amountMsat: 7,
      maxFeeMsat: 0,
      maxParts: 3,
      timeoutSeconds: 9,
    })
    await call('POST', '/v1/payments', { nodeId: PEER_ID.toUpperCase(), amountMsat: 9_007_199_254_740_991 })
    expect(pays).toEqual([
      [{ bolt11: 'lnbcrt1fake', amountMsat: 7n, maxFeeMsat: 0n, maxParts: 3, timeoutSeconds: 9, keyId }],
      [{ nodeId: PEER_ID, amountMsat: 9_007_199_254_740_991n, keyId }],
    ])
    await call('POST', '/v1/invoices', { descriptionHash: HASH, paymentHash: HASH, expirySeconds: 60 })
    await call('POST', '/v1/invoices', { amountMsat: 1, description: 'ü' })
    expect(invoices).toEqual([
      [{ descriptionHash: new Uint8Array(32).fill(0xab), paymentHash: HASH.toLowerCase(), expirySeconds: 60, keyId }],
      [{ amountMsat: 1n, description: 'ü', keyId }],
    ])
    await call('POST', '/v1/wallet/transactions', {
      outputs: [{ address: ADDRESS, amountSat: 5 }],
      utxos: [`${HASH}:7`],
    })
    expect(sends).toEqual([
      [{ outputs: [{ address: ADDRESS, amountSat: 5n }], utxos: [{ txid: HASH.toLowerCase(), index: 7 }] }],
    ])
  })

  it('an id in a path may be the hash in either case, or the local id as it is', async () => {
    const { call, node } = await testApi()
    const asked = recorded(node, 'payment')
    await call('GET', `/v1/payments/${HASH}`)
    await call('GET', '/v1/payments/R1_Ab')
    expect(asked).toEqual([[HASH.toLowerCase()], ['R1_Ab']])
  })

  it('lists ask for 50 items unless told, with cursor and filters', async () => {
    const { call, node } = await testApi()
    const lists = { channels: recorded(node, 'channels'), payments: recorded(node, 'payments') }
    await call('GET', '/v1/channels')
    await call('GET', `/v1/channels?limit=7&cursor=abc&state=normal&peer=${PEER_ID}`)
    await call('GET', '/v1/payments?status=failed')
    expect(lists.channels).toEqual([
      [{ limit: 50 }, {}],
      [
        { limit: 7, cursor: 'abc' },
        { state: 'normal', peer: PEER_ID },
      ],
    ])
    expect(lists.payments).toEqual([[{ limit: 50 }, { status: 'failed' }]])
  })

  it('a policy changes only the fields that are given', async () => {
    const { call, node } = await testApi()
    const { id } = (await call('POST', '/v1/channels', { peer: PEER_ID, capacitySat: 10 })).json()
    const policies = recorded(node, 'setChannelPolicy')
    const answer = await call('PATCH', `/v1/channels/${id}/policy`, { feeBaseMsat: 0, htlcMaximumMsat: 9 })
    expect(policies).toEqual([[id, { feeBaseMsat: 0, htlcMaximumMsat: 9n }]])
    expect(answer.json().policy).toMatchObject({ feeBaseMsat: 0, feeProportionalMillionths: 1, htlcMaximumMsat: 9 })
  })
})

describe('translation of answers', () => {
  it('a channel with everything: amounts as integers, outpoints and short channel ids as text, nothing unnamed', async () => {
    const { call, node } = await testApi()
    const { id } = (await call('POST', '/v1/channels', { peer: PEER_ID, capacitySat: 10 })).json()
    const view = await node.channel(id)
    const htlc = {
      id: 1,
      direction: 'in',
      amountMsat: 5n,
      paymentHash: HASH,
      cltvExpiry: 500,
      state: 'committed',
      secret: 'x',
    }
    const tx = { txid: HASH, kind: 'sweep', confirmed: false, feeSat: null }
    const closing = {
      how: 'local-force',
      txid: null,
      confirmations: 0,
      resolved: false,
      transactions: [tx],
      unclaimedSat: 330n,
    }
    node.channelViews.set(id, { ...view, htlcs: [htlc], closing, keyIndex: 42 } as never)
    const json = (await call('GET', `/v1/channels/${view.channelId}`)).json()
    expect(json).toMatchObject({
      id,
      capacitySat: 10,
      localMsat: 10_000,
      shortChannelId: '100x1x0',
      funding: `${'66'.repeat(32)}:0`,
    })
    expect(json.htlcs).toEqual([
      { id: 1, direction: 'in', amountMsat: 5, paymentHash: HASH, cltvExpiry: 500, state: 'committed' },
    ])
    expect(json.closing).toEqual({ ...closing, unclaimedSat: 330 })
    expect(json).not.toHaveProperty('keyIndex')
  })

  it('a route, utxos, a graph with a missing policy, a negative net amount', async () => {
    const { call, node } = await testApi()
    expect((await call('POST', '/v1/graph/routes', { nodeId: PEER_ID, amountMsat: 5 })).json()).toEqual({
      amountMsat: 5,
      feeMsat: 0,
      hops: [{ nodeId: PEER_ID, shortChannelId: '100x1x0', amountMsat: 5, cltvExpiry: 140 }],
    })
    expect((await call('GET', '/v1/wallet/utxos')).json().items[0]).toMatchObject({
      outpoint: `${'11'.repeat(32)}:1`,
      amountSat: 5,
    })
    const policy = { feeBaseMsat: 1, feeProportionalMillionths: 2, cltvExpiryDelta: 3, enabled: true }
    expect((await call('GET', '/v1/graph/channels')).json().items[0]).toMatchObject({
      capacitySat: null,
      policies: [policy, null],
    })
    await call('POST', '/v1/wallet/transactions', { outputs: [{ address: ADDRESS, amountSat: 5 }] })
    expect((await call('GET', '/v1/wallet/transactions')).json().items[0].netSat).toBe(-5)
    expect(node.transactionViews.size).toBe(1)
  })

  it('the backup as JSON, or as the file itself', async () => {
    const { call } = await testApi()
    expect((await call('GET', '/v1/backup')).json()).toEqual({ format: 'fulmen-static-channel-backup', data: 'AQID' })
    const file = await call('GET', '/v1/backup', undefined, { accept: 'application/octet-stream' })
    expect([file.headers['content-type'], [...file.rawPayload]]).toEqual(['application/octet-stream', [1, 2, 3]])
  })

  it('whether a copy of the backup is good', async () => {
    const { call } = await testApi()
    const verify = async (data: string) => (await call('POST', '/v1/backup/verify', { data })).json()
    expect(await verify('AQID')).toEqual({ valid: true, complete: true, channels: 1, missing: [], problem: null })
    expect(await verify('AQI=')).toMatchObject({ valid: false, complete: false, problem: 'it is damaged' })
    expect((await verify('not base64!')).code).toBe('VALIDATION_FAILED')
  })

  it('answers are never cached', async () => {
    const { call } = await testApi()
    for (const url of ['/v1/node', '/v1/nowhere', '/docs'])
      expect((await call('GET', url)).headers['cache-control']).toBe('no-store')
  })
})

describe('long work', () => {
  it('a payment under way answers 202 at once; with wait the answer is held until it is final, and is then 200', async () => {
    const { call, node } = await testApi()
    node.paymentStatus = 'pending'
    const pending = await call('POST', '/v1/payments', { nodeId: PEER_ID, amountMsat: 5 })
    expect([pending.statusCode, pending.json().status]).toEqual([202, 'pending'])
    const held = [
      call('GET', `/v1/payments/${pending.json().paymentHash}?wait=30`),
      call('POST', '/v1/payments?wait=30', { nodeId: PEER_ID, amountMsat: 5 }),
    ]
    await expect.poll(() => node.paymentViews.size).toBe(2)
    for (const [id, view] of node.paymentViews)
      node.paymentViews.set(id, { ...view, status: 'failed', failure: { code: 'NO_ROUTE', detail: 'x' } })
    for (const answer of await Promise.all(held)) {
      expect([answer.statusCode, answer.json().status, answer.json().failure.code]).toEqual([200, 'failed', 'NO_ROUTE'])
    }
  })

  it('at the time limit the answer is what stands, and still 202', async () => {
    const { call, node } = await testApi()
    node.paymentStatus = 'pending'
    const limits: number[] = []
    node.waitFor = async (_resource, get, _done, timeoutMs) => {
      limits.push(timeoutMs)
      return get()
    }
    expect((await call('POST', '/v1/payments?wait=7', { nodeId: PEER_ID, amountMsat: 5 })).statusCode).toBe(202)
    expect(limits).toEqual([7_000])
  })

  it('a channel answers 202 until it is usable, a close until it is closed', async () => {
    const { call, node } = await testApi()
    const open = node.openChannel.bind(node)
    node.openChannel = async (request) => {
      const view = { ...(await open(request)), state: 'opening', usable: false }
      node.channelViews.set(view.id, view)
      return view
    }
    const opening = await call('POST', '/v1/channels', { peer: PEER_ID, capacitySat: 10 })
    expect([opening.statusCode, opening.json().state]).toEqual([202, 'opening'])
    expect((await call('POST', `/v1/channels/${opening.json().id}/close`)).statusCode).toBe(202)
    const view = node.channelViews.get(opening.json().id)
    if (view) node.channelViews.set(view.id, { ...view, state: 'closed' })
    node.closeChannel = (id) => node.channel(id)
    expect((await call('POST', `/v1/channels/${opening.json().id}/close`)).statusCode).toBe(200)
  })
})

describe('POST /v1/decode', () => {
  /** The first example of BOLT 11: a donation of any amount. */
  const DONATION =
    'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql'

  it('says what an invoice says', async () => {
    const { call } = await testApi()
    const { payee, paymentHash } = decodeInvoice(DONATION)
    for (const text of [DONATION, `lightning:${DONATION}`, DONATION.toUpperCase()]) {
      expect((await call('POST', '/v1/decode', { text })).json()).toMatchObject({
        type: 'bolt11',
        network: 'bitcoin',
        nodeId: payee,
        paymentHash,
        amountMsat: null,
        description: 'Please consider supporting this project',
        descriptionHash: null,
        createdAt: '2017-06-01T10:57:38.000Z',
        expiresAt: '2017-06-01T11:57:38.000Z',
        expired: true,
        paymentSecret: '11'.repeat(32),
        routeHints: [],
      })
    }
  })

  it('or why it is not valid', async () => {
    const { call } = await testApi()
    const answer = await call('POST', '/v1/decode', { text: DONATION.replace('pvjl', 'pvjj') })
    expect(answer.json()).toMatchObject({
      status: 400,
      code: 'INVOICE_INVALID',
      detail: expect.stringContaining('checksum'),
    })
    expect((await call('POST', '/v1/decode', { text: 'hello' })).json().code).toBe('INVOICE_INVALID')
  })
})

describe('shutdown', () => {
  it('finishes what has begun before the server is closed', async () => {
    const { app, node, headers } = await testApi()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { port: number }
    let proceed = (): void => {}
    const begun = new Promise<void>((isBegun) => {
      node.beforeAct = () =>
        new Promise((resolve) => {
          proceed = resolve
          isBegun()
        })
    })
    const paying = fetch(`http://127.0.0.1:${port}/v1/payments`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ nodeId: PEER_ID, amountMsat: 5 }),
    })
    await begun
    const stopped = app.close()
    proceed()
    expect((await paying).status).toBe(200)
    await stopped
    expect(node.calls).toEqual(['pay'])
  })

  it('a node that says SHUTTING_DOWN is passed on as 503', async () => {
    const { call, node } = await testApi()
    node.beforeAct = async () => {
      throw new ServiceError('SHUTTING_DOWN', 'Ask again later.')
    }
    expect((await call('POST', '/v1/peers', { uri: `${NODE_ID}@h` })).statusCode).toBe(503)
  })
})
