import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, EMPTY, toHex, u16be, utf8 } from '../../src/base/bytes.ts'
import { DEFAULT_LIMITS, takeToken } from '../../src/peer/limits.ts'
import {
  nextTick,
  openSession,
  ourInit,
  readSession,
  resumeSession,
  type SessionConfig,
  tickSession,
  warningOf,
} from '../../src/peer/session.ts'
import { WireError } from '../../src/wire/errors.ts'
import { featuresFromBits, ourInitFeatures } from '../../src/wire/features.ts'
import { decodeMessage, encodeMessage, type Message } from '../../src/wire/registry.ts'
import { announcedNode, updateOf } from '../gossip/network.ts'
import { init, numbered, REGTEST } from './harness.ts'

const config: SessionConfig = { features: ourInitFeatures(), chainHash: REGTEST, limits: DEFAULT_LIMITS }
const read = (messages: readonly Message[], session = openSession(0, DEFAULT_LIMITS), now = 0) =>
  readSession(session, messages.map(encodeMessage), now, config)
const opened = () => read([init()]).session
const faultOf = (m: Message) => read([m]).fault
const { pingIntervalMs, pongTimeoutMs } = DEFAULT_LIMITS

describe('BOLT 1 §the-init-message: receiving node', () => {
  it('combines both feature fields', () => {
    const { session } = read([
      init({ globalFeatures: featuresFromBits([9, 13]), features: featuresFromBits([15, 45, 201]) }),
    ])
    expect(toHex(session.features!)).toBe(toHex(featuresFromBits([9, 13, 15, 45, 201])))
  })

  it('ignores unknown odd bits and refuses unknown even ones, in either field', () => {
    expect(faultOf(init({ features: featuresFromBits([1001]) }))).toBeNull()
    expect(faultOf(init({ features: featuresFromBits([1000]) }))?.code).toBe('INCOMPATIBLE_FEATURES')
    expect(faultOf(init({ globalFeatures: featuresFromBits([1000]) }))?.code).toBe('INCOMPATIBLE_FEATURES')
  })

  it('keeps no more of them than may ever matter', () => {
    const features = new Uint8Array(30_000).fill(0x02)
    expect(read([init({ features, globalFeatures: features })]).session.features).toEqual(features.slice(0, 512))
  })

  it('refuses features without those that they build on', () => {
    expect(faultOf(init({ features: featuresFromBits([51]) }))?.message).toMatch(
      /option_zeroconf without option_scid_alias/,
    )
  })

  it('takes a peer that names no networks, or ours among others, and refuses one that names only others', () => {
    const other = new Uint8Array(32).fill(1)
    const { networks: _, ...silent } = init() as Extract<Message, { type: 'init' }>
    expect(faultOf(silent)).toBeNull()
    expect(faultOf(init({ networks: [other, REGTEST] }))).toBeNull()
    expect(faultOf(init({ networks: [other] }))?.code).toBe('WRONG_CHAIN')
    expect(faultOf(init({ networks: [] }))?.code).toBe('WRONG_CHAIN')
  })

  it('warns whoever it refuses, once their init has come and not before', () => {
    expect(read([init({ networks: [] })]).warn).toBe(true)
    expect(read([numbered(1)])).toMatchObject({ fault: { code: 'PROTOCOL_VIOLATION' }, warn: false, deliver: [] })
    expect(readSession(openSession(0, DEFAULT_LIMITS), [EMPTY], 0, config).warn).toBe(false)
    expect(readSession(opened(), [EMPTY], 0, config).warn).toBe(true)
  })

  it('quotes a peer that refuses us in place of its init, in printable characters', () => {
    const refusal = { type: 'error', channelId: '00'.repeat(32) as never, data: utf8('no\u0007 room\n') } as const
    expect(read([refusal]).fault).toMatchObject({ code: 'CLOSED', message: 'the peer refused the connection: no room' })
    expect(read([warningOf('')]).fault?.message).toMatch(/without saying why/)
  })

  it('our own init is one that we accept', () => {
    expect(faultOf(ourInit(config))).toBeNull()
    expect(faultOf(ourInit(config, { tag: 'ipv4', host: '8.8.4.4', port: 1 }))).toBeNull()
  })
})

describe('a read of several messages', () => {
  it('delivers in order what is for the owner and keeps back what is for the session', () => {
    const odd = concatBytes(u16be(40_001), EMPTY)
    const ping: Message = { type: 'ping', numPongBytes: 4, ignored: EMPTY }
    const frames = [init(), numbered(1), ping, warningOf('w'), numbered(2)].map(encodeMessage)
    const got = readSession(openSession(0, DEFAULT_LIMITS), [...frames, odd], 7, config)
    expect(got.deliver).toEqual([numbered(1), warningOf('w'), numbered(2)])
    expect(got.replies).toEqual([{ type: 'pong', ignored: new Uint8Array(4) }])
    expect(got.fault).toBeNull()
    expect(got.session.heardAt).toBe(7)
  })

  it('delivers what came before a violation and nothing after it', () => {
    const frames = [encodeMessage(numbered(1)), u16be(40_000), encodeMessage(numbered(2))]
    const got = readSession(opened(), frames, 0, config)
    expect(got.deliver).toEqual([numbered(1)])
    expect(got.fault?.code).toBe('PROTOCOL_VIOLATION')
  })

  it('leaves out what others announced and we cannot read: who passes it on may have looked at less of it', () => {
    const update = encodeMessage(updateOf({ block: 1, n: 0 }, 0, 1))
    const minimumAt = 2 + 64 + 32 + 8 + 4 + 1 + 1 + 2
    const beyond = update.slice()
    beyond.set(new Uint8Array(8).fill(0xff), minimumAt)
    const node = encodeMessage(announcedNode(1, 1, [{ tag: 'ipv4', host: '8.8.4.4', port: 1 }]))
    const cut = node.slice(0, -1)
    cut[cut.length - 7]! -= 1 // addrlen
    const unreadable = [beyond, update.slice(0, -8), cut, u16be(256)]
    for (const frame of unreadable) expect(() => decodeMessage(frame)).toThrowError(WireError)
    const got = readSession(opened(), [...unreadable, update, node], 0, config)
    expect(got.fault).toBeNull()
    expect(got.deliver.map((m) => m.type)).toEqual(['channel_update', 'node_announcement'])
    const ofItsOwn = u16be(259)
    expect(readSession(opened(), [ofItsOwn], 0, config).fault?.code).toBe('PROTOCOL_VIOLATION')
  })

  it('any bytes are delivered, skipped, or end in a typed fault', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 5 }), fc.boolean(), (frames, ready) => {
        const got = readSession(ready ? opened() : openSession(0, DEFAULT_LIMITS), frames, 0, config)
        return (
          got.fault === null ||
          ['PROTOCOL_VIOLATION', 'CLOSED', 'INCOMPATIBLE_FEATURES', 'WRONG_CHAIN'].includes(got.fault.code)
        )
      }),
    )
  })
})

describe('BOLT 1 §the-ping-and-pong-messages: over time', () => {
  const pinged = () => tickSession(opened(), pingIntervalMs, DEFAULT_LIMITS).session
  const pong = (length: number): Message => ({ type: 'pong', ignored: new Uint8Array(length) })

  it('pings once an interval with zeros, even a peer that talks', () => {
    const busy = read([numbered(1)], opened(), pingIntervalMs - 1).session
    expect(tickSession(busy, pingIntervalMs - 1, DEFAULT_LIMITS).ping).toBeNull()
    const { ping, session } = tickSession(busy, pingIntervalMs, DEFAULT_LIMITS)
    expect(ping).toMatchObject({ type: 'ping', ignored: EMPTY })
    expect(session.pongDue).toBe(ping!.numPongBytes)
  })

  it('the pong brings the next ping an interval after the last', () => {
    const s = pinged()
    const answered = read([pong(s.pongDue!)], s, pingIntervalMs + 5).session
    expect(nextTick(answered, DEFAULT_LIMITS)).toBe(2 * pingIntervalMs)
  })

  it('silence past the limit is UNRESPONSIVE, also after an answer of the wrong length', () => {
    const s = pinged()
    const wrong = read([pong(s.pongDue! + 1)], s, pingIntervalMs).session
    const end = pingIntervalMs + pongTimeoutMs
    for (const silent of [s, wrong]) {
      expect(tickSession(silent, end - 1, DEFAULT_LIMITS).fault).toBeNull()
      expect(tickSession(silent, end, DEFAULT_LIMITS).fault?.code).toBe('UNRESPONSIVE')
    }
  })

  it('after a pause of ours the wait for the pong begins anew', () => {
    const resumed = resumeSession(pinged(), 500_000)
    expect(nextTick(resumed, DEFAULT_LIMITS)).toBe(500_000 + pongTimeoutMs)
  })
})

describe('takeToken', () => {
  it('allows a burst, then one event each refill time, and never saves up more than a burst', () => {
    let bucket = { tokens: 3, at: 0 }
    const take = (now: number): boolean => {
      const next = takeToken(bucket, now, 3, 10)
      bucket = next ?? bucket
      return next !== null
    }
    expect([take(0), take(0), take(0), take(0)]).toEqual([true, true, true, false])
    expect([take(9), take(10), take(10)]).toEqual([false, true, false])
    expect([take(1000), take(1000), take(1000), take(1000)]).toEqual([true, true, true, false])
  })
})
