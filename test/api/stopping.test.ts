import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
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
