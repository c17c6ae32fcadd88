import type { NodeId } from '../../src/base/ids.ts'
import type { Link } from './link.ts'
import type { OurNode } from './ourNode.ts'

/** carol and us are nodes of ours, with a channel between them. They and erin, real nodes that are not ours, have channels with us. */
export type Name = 'carol' | 'us' | Real
export type Real = 'them' | 'erin'
export const isReal = (name: Name): name is Real => name === 'them' || name === 'erin'

export type Outcome = 'pending' | 'succeeded' | 'failed'

/** A payment of theirs that has begun. */
export interface Sent {
  /** As they call it. */
  readonly id: string
  readonly hash: string
}

/** The real node at the other end of the link. */
export interface Counterpart {
  readonly nodeId: NodeId
  /** Whether it has a connection with us, as far as it knows. */
  seesUs(): Promise<boolean>
  /** @param isHeld what comes waits for `decide`; all else is taken as it comes @returns BOLT 11 */
  invoice(amountMsat: number, isHeld: boolean): Promise<string>
  /** @throws when it sees no way */
  pay(bolt11: string): Promise<Sent>
  keysend(payee: NodeId, amountMsat: number): Promise<Sent>
  /** Takes a held payment, or fails it. @returns false when it has not come yet as a whole */
  decide(hash: string, settle: boolean): Promise<boolean>
  /** Fails what has come of a payment to it, unless that is taken already. */
  refuse(hash: string): Promise<void>
  /** What it says of a payment of its own. */
  outcome(sent: Sent): Promise<Outcome>
  /** Whether it says that it has taken the payment. */
  isReceived(hash: string): Promise<boolean>
  /** Closes the connection in good order. */
  hangUp(): Promise<void>
  /** Its estimate for every target. */
  setFeerate(feeratePerKw: number): Promise<void>
  /** It dies at once, and has started again on return; absent where it cannot. */
  kill?(): Promise<void>
  /**
   * Gets it over a fault of its own, if it shows one that it does not get over by itself; absent where it has none.
   * @param lost payments of its own that it waits for the end of, and of which no channel holds an HTLC
   * @returns whether it did
   */
  recover?(lost: readonly string[]): Promise<boolean>
}

/** A real node, and how ours comes to it. */
export interface Neighbour {
  readonly them: Counterpart
  readonly link: Link
  /** Whether our node is connected with them. */
  isConnected(): Promise<boolean>
  /** Dials them over the link. */
  connect(): Promise<void>
}

/** What a life is lived on: a world of one of the counterparts, or of two. */
export interface Stage extends Neighbour {
  readonly us: OurNode
  /** Absent where there is one real node alone. */
  readonly erin?: Neighbour
  /** One block, which everybody has acted on. */
  mine(): Promise<void>
  /** Our estimate for every target. */
  setFeerate(feeratePerKw: number): void
  until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void>
  /** `min_final_cltv_expiry_delta` of the next invoice of a node of ours; absent: as the node has it. */
  finalDelta?(): number
}
