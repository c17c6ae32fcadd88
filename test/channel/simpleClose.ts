import { concatBytes } from '../../src/base/bytes.ts'
import { msat } from '../../src/base/units.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import type { NegotiatingState } from '../../src/channel/state.ts'
import type { MessageNamed } from '../../src/wire/registry.ts'
import { expectNext, reachNormal, type World, type WorldOptions } from './harness.ts'
import type { Name, Side } from './side.ts'

/* What the tests of option_simple_close share: two sides that close, and what a closing transaction of theirs is. */

export const CAPACITY = 1_000_000
export type Complete = MessageNamed<'closing_complete'>
export type Sig = MessageNamed<'closing_sig'>
const FIELDS = ['closerOutputOnly', 'closeeOutputOnly', 'closerAndCloseeOutputs'] as const

export const world = (bobSat = 300_000, more: WorldOptions = {}): World =>
  reachNormal({ simpleClose: true, pushMsat: msat(bobSat * 1000), ...more })
export const close = (w: World, more: object = {}, who: Name = 'alice'): World => {
  w.side(who).command({ tag: 'close', requestId: 5, ...more })
  return w
}
/** Both have exchanged shutdown and said closing_complete, which waits to be delivered. */
export function offering(w: World, more: object = {}): { readonly alice: Complete; readonly bob: Complete } {
  // Both ask for it.
  w.bob.command({ tag: 'close', requestId: 4 })
  const shutdown = w.take('bob')!
  close(w, more)
  w.deliver('alice') // shutdown
  const bob = w.take('bob')!
  w.receive('alice', shutdown)
  return { alice: expectNext(w, 'alice', 'closing_complete'), bob: bob as Complete }
}
export const phase = (side: Side): NegotiatingState => {
  if (side.phase.tag !== 'negotiating') throw new Error(`${side.name} is ${side.phase.tag}`)
  return side.phase
}
export const published = (side: Side): readonly Transaction[] => phase(side).published
export const formsIn = (m: Complete | Sig) => FIELDS.filter((f) => m[f] !== undefined)
export const feeOf = (tx: Transaction): bigint => tx.outputs.reduce((left, o) => left - o.amountSat, BigInt(CAPACITY))
export const amounts = (tx: Transaction): readonly bigint[] => tx.outputs.map((o) => o.amountSat)
export const opReturn = (length: number): Uint8Array =>
  concatBytes(Uint8Array.of(0x6a, ...(length > 75 ? [0x4c] : []), length), new Uint8Array(length).fill(9))
export const lastReply = (side: Side) => side.replies.at(-1)!.result
export const blocks = (w: World, n: number): void => {
  for (let i = 0; i < n; i++) {
    for (const side of w.sides) {
      const height = side.ctx.blockHeight + 1
      side.ctx = { ...side.ctx, blockHeight: height }
      side.step({ tag: 'chain', event: { tag: 'block', height } })
    }
  }
}
export const estimate = (w: World, closing: number, claim = closing): void => {
  for (const side of w.sides) side.ctx = { ...side.ctx, feerates: { ...side.ctx.feerates, closing, claim } }
}
export const confirm = (w: World, tx: Transaction): void => {
  const height = w.height + 1
  for (const side of w.sides) {
    side.ctx = { ...side.ctx, blockHeight: height }
    const outpoint = side.channel.commitments.active[0]!.funding
    side.step({ tag: 'chain', event: { tag: 'spent', outpoint, tx, height } })
    side.step({ tag: 'chain', event: { tag: 'block', height } })
  }
}
/** The n of a curve order minus S: as valid to ECDSA, refused by LOW-S. */
export function highS(signature: Uint8Array): Uint8Array {
  const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`)
  return concatBytes(
    signature.subarray(0, 32),
    new Uint8Array(Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex')),
  )
}
