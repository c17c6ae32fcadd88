import type { Network } from '../bitcoin/networks.ts'
import type { Transaction } from '../bitcoin/transaction.ts'
import type { FeeEstimates } from '../chain/fees.ts'
import type { ChainSource } from '../chain/source.ts'
import type { TxPurpose } from '../channel/types.ts'
import type { OwnNode } from '../gossip/own.ts'
import type { RouteHint } from '../invoice/fields.ts'
import type { Graph } from '../routing/graph.ts'
import type { LocalChannel } from '../routing/types.ts'
import type { Driver } from '../store/types.ts'
import type { ChainShell } from './chain.ts'
import type { Changes } from './changes.ts'
import type { Channels } from './channels.ts'
import type { EventLog } from './events.ts'
import type { GossipShell } from './gossip.ts'
import type { ExpiryMargins } from './margins.ts'
import type { Payments } from './payments.ts'
import type { PeerStorage } from './peerStorage.ts'
import type { Peers } from './peers.ts'
import type { Reactor } from './reactor.ts'
import type { Reserves } from './reserves.ts'
import type { WalletShell } from './wallet.ts'

/** What the node is made of, as its services see it (node.ts joins it together). */
export interface NodeParts {
  readonly network: Network
  /** 'embedded' or 'bitcoind'. */
  readonly backend: string
  readonly own: OwnNode
  readonly margins: ExpiryMargins
  readonly driver: Driver
  readonly reactor: Reactor
  readonly events: EventLog
  readonly changes: Changes
  readonly source: ChainSource
  readonly chain: ChainShell
  readonly wallet: WalletShell
  readonly graph: Graph
  readonly gossip: GossipShell
  readonly peers: Peers
  readonly storage: PeerStorage
  readonly channels: Channels
  readonly payments: Payments
  readonly reserves: Reserves
  fees(): FeeEstimates
  /** Our usable channels as the path finder sees them. */
  localChannels(): readonly LocalChannel[]
  /** Ways to us over private channels, for invoices; empty when public channels suffice. */
  routeHints(): readonly RouteHint[]
  /** Hands a transaction to the chain; a refusal is logged, and is an error only for the caller that awaits it. */
  broadcast(tx: Transaction, purpose: TxPurpose | 'wallet'): Promise<void>
  /** Writes the channel backup again: something in it has changed. */
  backUp(): Promise<void>
  newId(): string
  /** Unix milliseconds. */
  now(): number
  /** Space on disk is low: nothing new is begun. */
  storageLow(): boolean
}
