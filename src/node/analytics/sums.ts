import type { NodeEvent } from '../service.ts'

/** What was forwarded; amounts and fees of settled forwards alone. One that was paid after it was told as failed counts in both. */
export interface ForwardSums {
  readonly settled: bigint
  readonly failed: bigint
  readonly amountInMsat: bigint
  readonly amountOutMsat: bigint
  readonly feeMsat: bigint
}
/** What was paid and received; a payment that failed and was tried again counts each time. */
export interface PaymentSums {
  readonly succeeded: bigint
  readonly failed: bigint
  /** Of those that succeeded, without fees. */
  readonly amountMsat: bigint
  readonly feeMsat: bigint
  readonly received: bigint
  readonly receivedMsat: bigint
}
export interface SumsOf {
  readonly forward: ForwardSums
  readonly payment: PaymentSums
}
export type SumKind = keyof SumsOf

export const NOTHING: SumsOf = {
  forward: { settled: 0n, failed: 0n, amountInMsat: 0n, amountOutMsat: 0n, feeMsat: 0n },
  payment: { succeeded: 0n, failed: 0n, amountMsat: 0n, feeMsat: 0n, received: 0n, receivedMsat: 0n },
}

/** Everything, or the forwards that came in or went out over one channel. */
export type Subject = 'all' | `${string}:${'in' | 'out'}`

/** What an event adds, and to which sums. */
export interface Share<K extends SumKind = SumKind> {
  readonly kind: K
  readonly subjects: readonly Subject[]
  readonly sums: Partial<SumsOf[K]>
}

/** @returns null for an event that changes no sum */
export function shareOf({ type, data }: NodeEvent): Share<'forward'> | Share<'payment'> | null {
  const n = (name: string): bigint => (typeof data[name] === 'number' ? BigInt(data[name]) : 0n)
  const payment = (sums: Partial<PaymentSums>): Share<'payment'> => ({ kind: 'payment', subjects: ['all'], sums })
  switch (type) {
    case 'forward.settled': {
      const sums = {
        settled: 1n,
        amountInMsat: n('amountInMsat'),
        amountOutMsat: n('amountOutMsat'),
        feeMsat: n('feeMsat'),
      }
      return { kind: 'forward', subjects: subjectsOf(data), sums }
    }
    case 'forward.failed':
      return { kind: 'forward', subjects: subjectsOf(data), sums: { failed: 1n } }
    case 'payment.succeeded':
      return payment({ succeeded: 1n, amountMsat: n('amountMsat'), feeMsat: n('feeMsat') })
    case 'payment.failed':
      return payment({ failed: 1n })
    case 'invoice.settled':
      return payment({ received: 1n, receivedMsat: n('amountMsat') })
    default:
      return null
  }
}

/** A forward that was refused at once has no channel to go out over; one that a restart made anew may have lost it. */
function subjectsOf({ incomingChannelId, outgoingChannelId }: NodeEvent['data']): readonly Subject[] {
  const channel = (id: unknown, direction: 'in' | 'out'): readonly Subject[] =>
    typeof id === 'string' ? [`${id}:${direction}`] : []
  return ['all', ...channel(incomingChannelId, 'in'), ...channel(outgoingChannelId, 'out')]
}

export function addSums<S extends object>(a: S, b: Partial<S>): S {
  const sum = { ...a } as Record<string, bigint>
  for (const [name, value] of Object.entries(b)) sum[name] = (sum[name] ?? 0n) + (value as bigint)
  return sum as S
}

export const SPANS = ['day', 'month', 'ever'] as const
export type Span = (typeof SPANS)[number]

/** Where a time lies: the day (`2026-11-27`) or the month (`2026-11`) in UTC. @param at RFC 3339, UTC */
export const startOf = (span: Span, at: string): string =>
  span === 'day' ? at.slice(0, 10) : span === 'month' ? at.slice(0, 7) : 'ever'
