import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../../src/base/bytes.ts'
import { encodeAddress } from '../../../src/bitcoin/address.ts'
import { decodeBlock, encodeBlock } from '../../../src/bitcoin/block.ts'
import { encodeTransaction, txidOf, vsizeOf, wtxidBytes } from '../../../src/bitcoin/transaction.ts'
import { type RpcServer, rpcHandler, startRpcServer } from '../../../src/chain/embedded/rpc.ts'
import { FALSE_OUTPUT, fund, outputOf, pay, spend, TRUE_OUTPUT, testChain } from './harness.ts'

const hexOf = (tx: Parameters<typeof encodeTransaction>[0]): string => toHex(encodeTransaction(tx))
const wtxidOf = (tx: Parameters<typeof wtxidBytes>[0]): string => toHex(wtxidBytes(tx).reverse())

/** Raw HTTP, so that the test sees status and headers. */
function post(server: RpcServer, body: string, headers: Record<string, string> = {}, method = 'POST') {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const r = request(
      { host: server.host, port: server.port, method, path: '/', headers, agent: false },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      },
    )
    r.on('error', reject)
    r.end(body)
  })
}

describe('the calls', () => {
  const { chain, clock } = testChain()
  const call = rpcHandler(chain)
  const [a, b, c] = fund(chain, 3)
  const address = encodeAddress(TRUE_OUTPUT, 'regtest')!
  const failure = async (method: string, ...params: unknown[]) => {
    const e = await call(method, params).then(
      () => null,
      (error: { code: number; message: string }) => error,
    )
    return e && [e.code, e.message]
  }

  it('getblock: hex, ids, and whole transactions with their fees', async () => {
    const tx = spend([a!], { fee: 1_234n })
    expect(await call('sendrawtransaction', [hexOf(tx)])).toBe(txidOf(tx))
    expect(await call('sendrawtransaction', [hexOf(tx)])).toBe(txidOf(tx))
    const [hash] = (await call('generatetoaddress', [1, address])) as string[]
    const raw = fromHex((await call('getblock', [hash, 0])) as string)
    expect(encodeBlock(decodeBlock(raw))).toEqual(raw)
    expect(await call('getblock', [hash])).toMatchObject({
      hash,
      confirmations: 1,
      height: 104,
      nTx: 2,
      size: raw.length,
      tx: [expect.any(String), txidOf(tx)],
      previousblockhash: chain.state.at(103)!.hash,
      difficulty: 4.656542373906925e-10,
      target: '7fffff0000000000000000000000000000000000000000000000000000000000',
      chainwork: (2n * 105n).toString(16).padStart(64, '0'),
    })
    const { tx: list } = (await call('getblock', [hash, 2])) as { tx: Record<string, unknown>[] }
    expect(list[1]).toMatchObject({
      txid: txidOf(tx),
      hash: wtxidOf(tx),
      fee: 0.00001234,
      vsize: vsizeOf(tx),
      hex: hexOf(tx),
    })
    expect(list[1]).toMatchObject({
      vin: [{ txid: a!.txid, vout: 0, scriptSig: { asm: '', hex: '' }, txinwitness: ['51'], sequence: 0xfffffffd }],
      vout: [{ n: 0, scriptPubKey: { address, type: 'witness_v0_scripthash', hex: toHex(TRUE_OUTPUT) } }],
    })
  })

  it('getrawtransaction and gettxout: in a block, in the mempool, spent there, nowhere', async () => {
    const tx = spend([b!])
    await call('sendrawtransaction', [hexOf(tx)])
    expect(await call('getrawtransaction', [txidOf(tx)])).toBe(hexOf(tx))
    expect(await call('getrawtransaction', [txidOf(tx), true])).not.toHaveProperty('confirmations')
    expect(await call('gettxout', [b!.txid, 0])).toBe(null)
    expect(await call('gettxout', [b!.txid, 0, false])).toMatchObject({ value: 50, coinbase: true, confirmations: 103 })
    expect(await call('gettxout', [txidOf(tx), 0])).toMatchObject({ confirmations: 0, value: 49.99999 })
    expect(await call('gettxout', [txidOf(tx), 0, false])).toBe(null)
    const [hash] = (await call('generatetoaddress', [1, address])) as string[]
    expect(await call('getrawtransaction', [txidOf(tx), 1])).toMatchObject({ confirmations: 1, blockhash: hash })
    expect(await failure('getrawtransaction', 'ab'.repeat(32))).toEqual([
      -5,
      expect.stringContaining('No such mempool'),
    ])
  })

  it('refusals carry Core’s numbers and words', async () => {
    const coin = c!
    expect(await failure('sendrawtransaction', hexOf(spend([coin], { fee: 0n })))).toEqual([
      -26,
      `min relay fee not met, 0 < ${vsizeOf(spend([coin]))}`,
    ])
    expect(await failure('sendrawtransaction', hexOf(spend([{ ...coin, index: 5 }])))).toEqual([
      -25,
      'bad-txns-inputs-missingorspent',
    ])
    expect(await failure('sendrawtransaction', hexOf(spend([coin], { fee: 10_000_000n })))).toEqual([
      -25,
      'Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)',
    ])
    expect(await failure('sendrawtransaction', 'zz')).toEqual([
      -22,
      'TX decode failed. Make sure the tx has at least one input.',
    ])
    expect(await failure('sendrawtransaction', hexOf(spend([coin], { fee: -1_000n })))).toEqual([
      -26,
      'bad-txns-in-belowout, value in (50.00) < value out (50.00001)',
    ])
    expect(await failure('getblockhash', 99_999)).toEqual([-8, 'Block height out of range'])
    expect(await failure('getblockhash', '1')).toEqual([-3, expect.stringContaining('"Position 1 (height)"')])
    expect(await failure('getblockhash')).toEqual([-1, expect.stringContaining('getblockhash height')])
    expect(await failure('getblock', 'ab'.repeat(32))).toEqual([-5, 'Block not found'])
    expect(await failure('getblock', 'zz')).toEqual([-8, "blockhash must be of length 64 (not 2, for 'zz')"])
    expect(await failure('generatetoaddress', 1, 'bc1qxx')).toEqual([-5, 'Error: Invalid address'])
    expect(await failure('getmempoolentry', 'ab'.repeat(32))).toEqual([-5, 'Transaction not in mempool'])
    expect(await failure('nosuchcall')).toEqual([-32601, 'Method not found'])
    expect(await failure('submitblock', '00')).toEqual([-22, 'Block decode failed'])
  })

  it('testmempoolaccept says what would happen and changes nothing, also for a family', async () => {
    const parent = spend([c!])
    const child = spend([outputOf(parent, 0)])
    const before = chain.mempool.size
    expect(await call('testmempoolaccept', [[hexOf(parent), hexOf(child)]])).toMatchObject([
      { txid: txidOf(parent), allowed: true, vsize: vsizeOf(parent), fees: { base: 0.00001 } },
      { txid: txidOf(child), wtxid: wtxidOf(child), allowed: true },
    ])
    expect(await call('testmempoolaccept', [[hexOf(child)]])).toMatchObject([
      { allowed: false, 'reject-reason': 'missing-inputs' },
    ])
    expect(await call('testmempoolaccept', [[hexOf(spend([c!], { fee: 20_000_000n }))]])).toMatchObject([
      { allowed: false, 'reject-reason': 'max-fee-exceeded' },
    ])
    expect(chain.mempool.size).toBe(before)
  })

  it('submitpackage: what each one paid with', async () => {
    const parent = spend([c!], { fee: 0n, version: 3 })
    const child = spend([outputOf(parent, 0)], { fee: 2_000n, version: 3 })
    const vsize = vsizeOf(parent) + vsizeOf(child)
    const both = {
      'effective-feerate': Math.floor((2_000 * 1_000) / vsize) / 1e8,
      'effective-includes': [wtxidOf(parent), wtxidOf(child)],
    }
    expect(await call('submitpackage', [[hexOf(parent), hexOf(child)]])).toEqual({
      package_msg: 'success',
      'tx-results': {
        [wtxidOf(parent)]: { txid: txidOf(parent), vsize: vsizeOf(parent), fees: { base: 0, ...both } },
        [wtxidOf(child)]: { txid: txidOf(child), vsize: vsizeOf(child), fees: { base: 0.00002, ...both } },
      },
      'replaced-transactions': [],
    })
    expect(await failure('submitpackage', [hexOf(child), hexOf(parent)])).toEqual([
      -25,
      'package topology disallowed. not child-with-parents or parents depend on each other.',
    ])
    expect(await call('getmempoolentry', [txidOf(child)])).toMatchObject({
      ancestorcount: 2,
      ancestorsize: vsize,
      depends: [txidOf(parent)],
      fees: { base: 0.00002, ancestor: 0.00002 },
    })
    expect(await call('getrawmempool', [])).toEqual([txidOf(parent), txidOf(child)])
    expect(await call('getmempoolinfo', [])).toMatchObject({ size: 2, bytes: vsize, total_fee: 0.00002 })
  })

  it('generateblock takes the transactions named and no others; a bad one is refused', async () => {
    const { hash } = (await call('generateblock', [address, []])) as { hash: string }
    expect(((await call('getblock', [hash])) as { nTx: number }).nTx).toBe(1)
    const bad = hexOf(spend([a!]))
    expect(await failure('generateblock', address, [bad])).toEqual([-25, expect.stringContaining('missingorspent')])
    expect(await failure('generateblock', address, ['ab'.repeat(32)])).toEqual([
      -25,
      expect.stringContaining('mempool'),
    ])
  })

  it('invalidateblock, reconsiderblock and submitblock', async () => {
    const tip = chain.state.tip
    const raw = toHex(encodeBlock(tip.block))
    await call('invalidateblock', [tip.hash])
    expect(await call('getbestblockhash', [])).toBe(tip.parent!.hash)
    expect(await call('getblockheader', [tip.hash])).toMatchObject({ confirmations: -1 })
    expect(await call('submitblock', [raw])).toBe('duplicate-invalid')
    await call('reconsiderblock', [tip.hash])
    expect(await call('getblockcount', [])).toBe(tip.height)
    expect(await call('submitblock', [raw])).toBe('duplicate')
  })

  it('scantxoutset finds outputs by script or address', async () => {
    const target = pay(12_345n, Uint8Array.of(0, 20, ...new Uint8Array(20).fill(9)))
    const from = [...chain.state.coins].find(
      ([, coin]) => toHex(coin.output.scriptPubKey) === toHex(TRUE_OUTPUT) && !coin.coinbase,
    )!
    const tx = spend([{ txid: from[0].slice(0, 64) as never, index: 0, amountSat: 12_345n + 1_000n }], {
      outputs: [target],
    })
    await call('generateblock', [address, [hexOf(tx)]])
    for (const d of [
      `raw(${toHex(target.scriptPubKey)})`,
      `addr(${encodeAddress(target.scriptPubKey, 'regtest')})#00000000`,
    ]) {
      expect(await call('scantxoutset', ['start', [d]])).toMatchObject({
        success: true,
        height: chain.state.height,
        total_amount: 0.00012345,
        unspents: [{ txid: txidOf(tx), vout: 0, amount: 0.00012345, height: chain.state.height, coinbase: false }],
      })
    }
    expect(await failure('scantxoutset', 'start', ['wpkh(xpub)'])).toEqual([-5, expect.stringContaining('raw(HEX)')])
  })

  it('waitfornewblock wakes with a new tip, at once when the known one is old, and ends when told', async () => {
    const waiting = call('waitfornewblock', [0])
    chain.mine(1, FALSE_OUTPUT)
    expect(await waiting).toEqual({ hash: chain.state.tip.hash, height: chain.state.height })
    expect(await call('waitfornewblock', [0, chain.state.tip.parent!.hash])).toMatchObject({
      hash: chain.state.tip.hash,
    })
    expect(await call('waitfornewblock', [1])).toMatchObject({ height: chain.state.height })
    const height = call('waitforblockheight', [chain.state.height + 2])
    chain.mine(2, FALSE_OUTPUT)
    expect(await height).toMatchObject({ height: chain.state.height })
  })

  it('the small ones', async () => {
    clock.advance(5)
    expect(await call('uptime', [])).toBe(5)
    expect(await call('getblockchaininfo', [])).toMatchObject({
      chain: 'regtest',
      blocks: chain.state.height,
      initialblockdownload: false,
    })
    expect(await call('getnetworkinfo', [])).toMatchObject({ version: 290000, relayfee: 0.00001 })
    expect(await call('getindexinfo', [])).toEqual({ txindex: { synced: true, best_block_height: chain.state.height } })
    expect(await call('estimatesmartfee', [6])).toEqual({
      errors: ['Insufficient data or no feerate found'],
      blocks: 0,
    })
    expect(await call('getblockhash', [0])).toBe('0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206')
  })
})

describe('over HTTP', () => {
  const { chain } = testChain()
  let server: RpcServer
  let stopped = 0
  const auth = { authorization: `Basic ${Buffer.from('user:secret').toString('base64')}` }
  const ask = async (body: unknown, headers: Record<string, string> = auth) => {
    const { status, text } = await post(server, typeof body === 'string' ? body : JSON.stringify(body), headers)
    return { status, body: text === '' ? null : JSON.parse(text) }
  }
  beforeAll(async () => {
    server = await startRpcServer(chain, { port: 0, user: 'user', password: 'secret', onStop: () => stopped++ })
  })
  afterAll(() => server.close())

  it('answers as JSON-RPC 1.0 and 2.0 do', async () => {
    expect(await ask({ id: 7, method: 'getblockcount', params: [] })).toEqual({
      status: 200,
      body: { result: 0, error: null, id: 7 },
    })
    expect(await ask({ jsonrpc: '2.0', id: 'x', method: 'getblockcount' })).toEqual({
      status: 200,
      body: { jsonrpc: '2.0', result: 0, id: 'x' },
    })
    expect(await ask({ id: 1, method: 'getblockhash', params: { height: 0 } })).toMatchObject({ status: 200 })
    expect(await ask({ jsonrpc: '2.0', method: 'getblockcount' })).toEqual({ status: 204, body: null })
  })

  it('errors: the old protocol by HTTP status, the new one in the answer alone', async () => {
    expect(await ask({ id: 1, method: 'nosuch' })).toMatchObject({
      status: 404,
      body: { error: { code: -32601 }, result: null },
    })
    expect(await ask({ id: 1, method: 'getblockhash', params: [5] })).toMatchObject({
      status: 500,
      body: { error: { code: -8 } },
    })
    expect(await ask({ jsonrpc: '2.0', id: 1, method: 'nosuch' })).toEqual({
      status: 200,
      body: { jsonrpc: '2.0', error: { code: -32601, message: 'Method not found' }, id: 1 },
    })
    expect(await ask('{')).toMatchObject({ status: 500, body: { error: { code: -32700 } } })
    expect(await ask('7')).toMatchObject({ status: 400, body: { error: { code: -32600 } } })
    expect(await ask({ id: 1, method: 'getblockcount', params: { nope: 1 } })).toMatchObject({
      body: { error: { code: -8 } },
    })
  })

  it('batches, in order', async () => {
    const { status, body } = await ask([
      { id: 1, method: 'getblockcount' },
      { id: 2, method: 'nosuch' },
      { jsonrpc: '2.0', id: 3, method: 'getbestblockhash' },
    ])
    expect(status).toBe(200)
    expect((body as { id: number }[]).map((r) => r.id)).toEqual([1, 2, 3])
  })

  it('wants the password, POST, a body of bearable size, and no web page', async () => {
    expect((await ask({ id: 1, method: 'getblockcount' }, {})).status).toBe(401)
    expect((await post(server, '', auth, 'GET')).status).toBe(405)
    expect((await post(server, '{}', { ...auth, origin: 'http://example.com' })).status).toBe(403)
    expect((await post(server, 'x'.repeat(16 * 1024 * 1024 + 1), auth)).status).toBe(413)
  })

  it('stop answers first', async () => {
    expect((await ask({ id: 1, method: 'stop' })).body).toMatchObject({ result: expect.stringContaining('stopping') })
    expect(stopped).toBe(1)
  })
})
