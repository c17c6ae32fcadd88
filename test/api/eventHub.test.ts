import { describe, expect, it } from 'vitest'
import { EventHub, type EventSink } from '../../src/api/events.ts'
import type { NodeEvent } from '../../src/node/service.ts'
import { FakeNode } from './fakeNode.ts'

describe('the event hub', () => {
  const sink = () => {
    const sent: (number | null)[] = []
    const texts: string[] = []
    const state = { buffered: 0, closed: false }
    const made: EventSink = {
      get closed() {
        return state.closed
      },
      get bufferedBytes() {
        return state.buffered
      },
      send: (id, _type, json) => {
        sent.push(id)
        texts.push(json)
      },
      beat: () => {},
      drained: async () => {
        state.buffered = 0
      },
      close: () => {
        state.closed = true
      },
    }
    return { sent, texts, state, sink: made }
  }
  const all = () => true
  const settle = () => new Promise((resolve) => setImmediate(resolve))

  it('makes the text of a live event once for all subscribers', async () => {
    const node = new FakeNode()
    const hub = new EventHub(node)
    const clients = [sink(), sink(), sink()]
    for (const client of clients) hub.subscribe(client.sink, all, undefined)
    let serialised = 0
    const data = { toJSON: () => ++serialised }
    node.emit('chain.block', data as never)
    expect(clients.map((c) => c.texts[0])).toEqual(Array(3).fill(expect.stringContaining('"data":1')))
    expect(serialised).toBe(1)
  })

  it('sends an event once that is in the store before it is announced', async () => {
    const node = new FakeNode()
    const hub = new EventHub(node)
    const stored: NodeEvent = { id: 1, type: 'chain.block', at: '', data: {} }
    const early = Object.assign(Object.create(node), {
      eventsSince: async (since: number) => (since < 1 ? [stored] : []),
    })
    const client = sink()
    const earlyHub = new EventHub({
      lastEventId: () => 0,
      eventsSince: early.eventsSince,
      onEvent: (listener) => node.onEvent(listener),
    })
    earlyHub.subscribe(client.sink, all, 0)
    await settle()
    expect(client.sent).toEqual([1])
    node.emit('chain.block') // id 1, announced at last
    node.emit('chain.block')
    expect(client.sent).toEqual([1, 2])
    hub.close()
  })

  it('sends an event that comes while the store is read and found empty', async () => {
    const node = new FakeNode()
    node.emit('chain.block')
    let isLate = true
    const hub = new EventHub({
      lastEventId: () => node.lastEventId(),
      onEvent: (listener) => node.onEvent(listener),
      eventsSince: async (since, limit) => {
        const events = await node.eventsSince(since, limit)
        if (events.length === 0 && isLate) {
          isLate = false
          node.emit('chain.block')
        }
        return events
      },
    })
    const client = sink()
    hub.subscribe(client.sink, all, 0)
    await settle()
    expect(client.sent).toEqual([1, 2])
  })

  it('says which events are no longer kept', async () => {
    const node = new FakeNode()
    const hub = new EventHub({
      lastEventId: () => node.lastEventId(),
      onEvent: (listener) => node.onEvent(listener),
      eventsSince: async (since, limit) => (await node.eventsSince(since, limit)).filter((event) => event.id > 7),
    })
    for (let i = 0; i < 9; i++) node.emit('chain.block')
    const client = sink()
    hub.subscribe(client.sink, all, 2)
    await settle()
    expect(client.sent).toEqual([null, 8, 9])
    expect(JSON.parse(client.texts[0] ?? '')).toMatchObject({ type: 'events.lost', data: { from: 3, to: 7 } })
  })

  it('a store that fails closes the stream: the client resumes', async () => {
    const node = new FakeNode()
    const hub = new EventHub({
      lastEventId: () => node.lastEventId(),
      onEvent: (listener) => node.onEvent(listener),
      eventsSince: () => Promise.reject(new Error('disk')),
    })
    const client = sink()
    hub.subscribe(client.sink, all, 0)
    await settle()
    expect(client.state.closed).toBe(true)
  })

  it('knows the newest event from its start on, though nothing has happened since', () => {
    const node = new FakeNode()
    node.emit('chain.block')
    node.emit('chain.block')
    expect(new EventHub(node).lastId).toBe(2)
  })

  it('a client that left is forgotten', () => {
    const node = new FakeNode()
    const hub = new EventHub(node)
    const client = sink()
    const leave = hub.subscribe(client.sink, all, undefined)
    node.emit('chain.block')
    leave()
    node.emit('chain.block')
    expect([client.sent, hub.size]).toEqual([[1], 0])
  })
})
