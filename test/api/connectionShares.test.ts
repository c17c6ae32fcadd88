import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { shareConnections } from '../../src/api/connectionShares.ts'
import { testApi } from './harness.ts'

class Connection extends EventEmitter {
  readonly remoteAddress: string | undefined
  isOpen = true
  constructor(remoteAddress: string | undefined) {
    super()
    this.remoteAddress = remoteAddress
  }
  destroy(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.emit('close')
  }
}

/** How many of so many connections of each address stay open. */
const opener = (server: EventEmitter) => {
  const all: Connection[] = []
  const open = (address: string | undefined, count: number): number => {
    const fresh = Array.from({ length: count }, () => new Connection(address))
    for (const one of fresh) server.emit('connection', one)
    all.push(...fresh)
    return fresh.filter((one) => one.isOpen).length
  }
  return { open, all }
}

describe('connections of the API', () => {
  it('are shared: one address has no more than so many, this machine as many as there are', () => {
    const server = new EventEmitter()
    shareConnections(server as never, 3)
    const { open, all } = opener(server)
    expect(open('203.0.113.5', 5)).toBe(3)
    expect(open('::ffff:203.0.113.5', 1)).toBe(0)
    expect(open('203.0.113.6', 5)).toBe(3)
    expect(
      ['2001:db8::1', '2001:db8::ffff:0:0:9', '2001:db8:0:0:1:1:1:1', '2001:db8:0:0::4'].map((a) => open(a, 1)),
    ).toEqual([1, 1, 1, 0])
    expect(open('2001:db8:0:1::1', 1)).toBe(1)
    for (const here of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(open(here, 50)).toBe(50)
    for (const one of all.slice(0, 2)) one.destroy()
    expect(open('203.0.113.5', 5)).toBe(2)
  })

  it('leave room for others whoever has all that one may have', async () => {
    const { app } = await testApi()
    const { open } = opener(app.server)
    const most = app.server.maxConnections
    expect(open('203.0.113.5', most)).toBeLessThanOrEqual(most / 2)
    await app.close()
  })
})
