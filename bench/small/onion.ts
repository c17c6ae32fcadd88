import { crypto } from '../../src/crypto/crypto.ts'
import { buildOnion, PAYMENT_ONION_LENGTH, peelOnion } from '../../src/onion/sphinx.ts'
import { type Suite, task, timeSuite } from '../harness.ts'

const secrets = Array.from({ length: 20 }, (_, i) => new Uint8Array(32).fill(i + 1))
const sessionKey = new Uint8Array(32).fill(0x41)
const associatedData = new Uint8Array(32).fill(0x42)

function request(hops: number) {
  const payload = new Uint8Array(30).fill(9)
  return {
    sessionKey,
    associatedData,
    hops: secrets.slice(0, hops).map((secret) => ({ nodeKey: crypto.publicKey(secret), payload })),
  }
}

export function onionSuite(): Promise<Suite> {
  const right = (built: ReturnType<typeof buildOnion>) =>
    built.packet.length === PAYMENT_ONION_LENGTH && peel(built.packet).tag !== 'malformed'
  const peel = (packet: Uint8Array) => peelOnion({ packet, nodeSecret: secrets[0]!, associatedData })
  const [one, two, three, twenty] = [1, 2, 3, 20].map(request) as [Request, Request, Request, Request]
  const final = buildOnion(one).packet
  const forward = buildOnion(two).packet
  return timeSuite('Onions (BOLT 4)', [
    task({ name: 'build, 1 hop', run: () => buildOnion(one), expect: right }),
    task({ name: 'build, 3 hops', run: () => buildOnion(three), expect: right }),
    task({ name: 'build, 20 hops', run: () => buildOnion(twenty), expect: right }),
    task({ name: 'peel, to be forwarded', run: () => peel(forward), expect: (p) => p.tag === 'forward' }),
    task({ name: 'peel, the last layer', run: () => peel(final), expect: (p) => p.tag === 'final' }),
  ])
}

type Request = ReturnType<typeof request>
