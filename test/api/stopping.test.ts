import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { msat, sat } from '../../src/base/units.ts'
import { PEER_ID } from './fakeNode.ts'
import { testApi } from './harness.ts'

describe('an API that is stopping', () => {
  it('answers what is under way, and says on it that the connection ends there', async () => {
    const { app, node, headers } = await testApi()
    let release = (): void => {}
    let asked = (): void => {}
    const underWay = new Promise<void>((resolve) => {
      asked = resolve
    })
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const balance = node.balance.bind(node)
    node.balance = async () => {
      asked()
      await held
      return balance()
    }
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const answer = fetch(`${url}/v1/balance`, { headers })
    await underWay
    const closed = app.close()
    while (app.server.listening) await setImmediate()
    release()
    const response = await answer
    expect(response.status).toBe(200)
    expect(response.headers.get('connection')).toBe('close') // or the server would wait for this client to go away
    await response.arrayBuffer()
    await closed
  })

  it('answers at once what is held for a change', async () => {
    const { app, node, headers } = await testApi()
    node.paymentStatus = 'pending'
    const { paymentHash } = await node.pay({ nodeId: PEER_ID, amountMsat: msat(1) })
    const invoice = await node.createInvoice({})
    const channel = await node.openChannel({ peer: PEER_ID, capacitySat: sat(100_000) })
    const close = JSON.stringify({})
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    let held = 0
    const waitFor = node.waitFor.bind(node)
    node.waitFor = (...wait) => {
      held++
      return waitFor(...wait)
    }
    const asked = [
      fetch(`${url}/v1/payments/${paymentHash}?wait=300`, { headers }),
      fetch(`${url}/v1/invoices/${invoice.id}?wait=300`, { headers }),
      fetch(`${url}/v1/channels/${channel.id}/close?wait=300`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: close,
      }),
    ]
    while (held < asked.length) await setImmediate()
    await app.close() // five minutes later otherwise
    const answers = await Promise.all(asked.map(async (answer) => (await answer).json()))
    expect(answers).toMatchObject([{ status: 'pending' }, { status: 'open' }, { state: 'shutdown' }])
  }, 20_000)

  it('breaks off a list as CSV that a client takes its time over', async () => {
    const { app, node, headers } = await testApi()
    node.analytics.forwards = async ({ limit }) => ({
      items: Array(limit).fill({ at: 'x'.repeat(100) }),
      nextCursor: '1',
    })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${url}/v1/forwards?format=csv`, { headers })
    const reader = answer.body!.getReader()
    expect((await reader.read()).done).toBe(false)
    await app.close() // never otherwise
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow()
  }, 20_000)

  it('holds nothing for a client that has gone', async () => {
    const { app, node, headers } = await testApi()
    node.paymentStatus = 'pending'
    const { paymentHash } = await node.pay({ nodeId: PEER_ID, amountMsat: msat(1) })
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const ended: Promise<unknown>[] = []
    const waitFor = node.waitFor.bind(node)
    node.waitFor = (...wait) => {
      const waited = waitFor(...wait)
      ended.push(waited)
      return waited
    }
    const client = new AbortController()
    const answer = fetch(`${url}/v1/payments/${paymentHash}?wait=300`, { headers, signal: client.signal })
    while (ended.length === 0) await setImmediate()
    client.abort()
    await expect(answer).rejects.toThrow()
    await ended[0] // five minutes later otherwise
    await app.close()
  }, 20_000)

  it('does not wait for connections over which nothing was asked', async () => {
    const { app } = await testApi()
    await app.listen({ host: '127.0.0.1', port: 0 })
    const accepted = once(app.server, 'connection')
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    await accepted
    const ended = once(socket, 'close')
    await app.close() // a minute later otherwise: longer than a test may take
    await ended
  }, 20_000)
})
