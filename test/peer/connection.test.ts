import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { NodeId } from '../../src/base/ids.ts'
import { type ConnectionConfig, PeerConnection } from '../../src/peer/connection.ts'
import type { PeerError } from '../../src/peer/errors.ts'
import { DEFAULT_LIMITS } from '../../src/peer/limits.ts'
import { ourInitFeatures } from '../../src/wire/features.ts'
import { encodeMessage, type Message } from '../../src/wire/registry.ts'
import { idOf, key, numbered, numberOf, REGTEST } from './harness.ts'
import { ManualClock } from './manualClock.ts'

/** As much of a socket as PeerConnection uses; what is written to it piles up in `sent`. */
class FakeSocket extends EventEmitter {
  sent: Uint8Array[] = []
  destroyed = false
  remoteAddress = '127.0.0.1'
  remotePort = 4040
  writableLength = 0
  write(bytes: Uint8Array): boolean {
    this.sent.push(bytes)
    return true
  }
  take(): Uint8Array {
    const all = Buffer.concat(this.sent)
    this.sent = []
    return Uint8Array.from(all)
  }
  end(): void {}
  pause(): void {}
  resume(): void {}
  setNoDelay(): void {}
  destroy(): void {
    this.destroyed = true
  }
}

class End {
  readonly socket = new FakeSocket()
  readonly connection: PeerConnection
  readonly batches: (readonly Message[])[] = []
  readyCount = 0
  closed: PeerError | null = null

  constructor(keyByte: number, dialled: NodeId | null) {
    let ephemeral = 0
    const config: ConnectionConfig = {
      key: key(keyByte),
      features: ourInitFeatures(),
      chainHash: REGTEST,
      limits: DEFAULT_LIMITS,
      clock: new ManualClock(),
      random: (n) => new Uint8Array(n).fill(keyByte + 40 + ephemeral++),
    }
    this.connection = new PeerConnection(this.socket as unknown as Socket, 'test:1', dialled, config, {
      onReady: () => void this.readyCount++,
      onMessages: (_, messages) => void this.batches.push(messages),
      onDrained: () => undefined,
      onClosed: (_, reason) => {
        this.closed = reason
      },
    })
  }

  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.socket.emit('data', Buffer.from(bytes))
  }
}

/** The whole conversation of a dialler, as the bytes of its side: handshake, init, messages; and what answers it. */
function conversation(messages: readonly Message[]) {
  const dialler = new End(1, idOf(key(2)))
  const answerer = new End(2, null)
  dialler.socket.emit('connect')
  const actOne = dialler.socket.take()
  answerer.receive(actOne)
  dialler.receive(answerer.socket.take())
  const actThreeAndInit = dialler.socket.take()
  answerer.receive(actThreeAndInit)
  dialler.receive(answerer.socket.take())
  for (const m of messages) dialler.connection.send([encodeMessage(m)])
  const rest = dialler.socket.take()
  return { bytes: Uint8Array.from([...actOne, ...actThreeAndInit, ...rest]), dialler, answerer, rest }
}

const numbers = fc.array(fc.nat({ max: 1000 }), { maxLength: 8 })
const seen = (end: End): number[] => end.batches.flat().map(numberOf)

describe('PeerConnection: bytes in', () => {
  it('any split of the stream, handshake included, gives the same messages in the same order', () => {
    fc.assert(
      fc.property(numbers, fc.array(fc.nat(), { maxLength: 20 }), (sent, places) => {
        const { bytes } = conversation(sent.map(numbered))
        const end = new End(2, null)
        const cuts = [0, ...places.map((p) => p % bytes.length).sort((a, b) => a - b), bytes.length]
        for (let i = 1; i < cuts.length; i++) end.receive(bytes.subarray(cuts[i - 1], cuts[i]))
        expect([end.readyCount, seen(end), end.closed]).toEqual([1, sent, null])
        expect(end.connection.nodeId).toBe(idOf(key(1)))
      }),
      { numRuns: 50 },
    )
  })

  it('one read is one batch, with all messages that it completes', () => {
    const { answerer, rest } = conversation([1, 2, 3, 4].map(numbered))
    answerer.receive(rest.subarray(0, rest.length - 1))
    answerer.receive(rest.subarray(rest.length - 1))
    expect(answerer.batches.map((b) => b.map(numberOf))).toEqual([[1, 2, 3], [4]])
  })

  it('a bit flipped anywhere ends the connection with a typed error, after no message that was not sent', () => {
    fc.assert(
      fc.property(numbers, fc.nat(), (sent, bit) => {
        const { bytes } = conversation(sent.map(numbered))
        const at = bit % (bytes.length * 8)
        bytes[at >>> 3]! ^= 1 << (at & 7)
        const end = new End(2, null)
        end.receive(bytes)
        expect(end.closed?.code).toBe(at >>> 3 < 116 ? 'HANDSHAKE_FAILED' : 'BAD_FRAME')
        expect(end.socket.destroyed).toBe(true)
        expect(seen(end)).toEqual(sent.slice(0, seen(end).length))
      }),
      { numRuns: 60 },
    )
  })

  it('nothing is delivered after the end', () => {
    const { answerer, rest } = conversation([numbered(1)])
    answerer.socket.emit('error', new Error('ECONNRESET'))
    answerer.receive(rest)
    answerer.socket.emit('close')
    expect([answerer.batches, answerer.closed?.code]).toEqual([[], 'CLOSED'])
  })
})

describe('PeerConnection: bytes out', () => {
  it('several messages go out in one write, sealed as one by one', () => {
    const together = conversation([])
    together.dialler.connection.send([1, 2, 3].map((n) => encodeMessage(numbered(n))))
    expect(together.dialler.socket.sent.length).toBe(1)
    expect(toHex(together.dialler.socket.take())).toBe(toHex(conversation([1, 2, 3].map(numbered)).rest))
  })

  it('init tells a dialler the public address at which it was seen: 9 bytes more', () => {
    const [plain, told] = ['127.0.0.1', '::ffff:8.8.4.4'].map((ip) => {
      const [dialler, answerer] = [new End(1, idOf(key(2))), new End(2, null)]
      answerer.socket.remoteAddress = ip
      dialler.socket.emit('connect')
      answerer.receive(dialler.socket.take())
      dialler.receive(answerer.socket.take())
      answerer.receive(dialler.socket.take())
      const init = answerer.socket.take()
      dialler.receive(init)
      expect(dialler.readyCount).toBe(1)
      return init.length
    })
    expect(told).toBe(plain! + 9)
  })

  it('sends nothing of its owner’s before both inits are there', () => {
    const dialler = new End(1, idOf(key(2)))
    expect(dialler.connection.send([encodeMessage(numbered(1))])).toBe(false)
    dialler.socket.emit('connect')
    expect(dialler.connection.send([encodeMessage(numbered(1))])).toBe(false)
    expect(dialler.socket.take().length).toBe(50)
  })

  it('is cut off instead of queueing more than its limit', () => {
    const { dialler } = conversation([])
    dialler.socket.writableLength = DEFAULT_LIMITS.maxOutboundBytes - 100
    expect(dialler.connection.send([encodeMessage(numbered(1))])).toBe(true)
    dialler.socket.writableLength = DEFAULT_LIMITS.maxOutboundBytes
    expect(dialler.connection.send([encodeMessage(numbered(1))])).toBe(false)
    expect([dialler.closed?.code, dialler.socket.destroyed]).toEqual(['SLOW_READER', true])
  })
})
