/**
 * Every key of the database, in one place. Prefixes are append-only: one that was ever released is never given another meaning.
 * Numbers in keys are zero-padded so that key order is number order.
 */

/** Written by every database; see migrate.ts. */
export const SCHEMA_VERSION = 3
/** From this one on, values have checksums; see checked.ts. */
export const SEALED_SINCE = 3

/** A number as it stands in keys. */
export const padded = (n: number | bigint): string => n.toString().padStart(16, '0')

export type RecordKind = 'invoice' | 'payment'

export const keys = {
  schema: 'meta/schema',
  /** There while values get their checksums: the last that has. */
  sealing: 'meta/sealing',
  /** Network and node id, so that a directory is never used for another network or seed. */
  identity: 'meta/identity',
  /** The next key index of channels: one that was ever used is never used again. */
  keyIndex: 'meta/key-index',
  /** The last channel backups that this database has made (node/adopt.ts). */
  backups: 'meta/backups',
  /** There as long as what a lost write may have taken is looked for in old blocks (node/recovery.ts). */
  lookBack: 'meta/look-back',
  journal: (n: number): string => `journal/${padded(n)}`,
  /** Suffixes are the channel's own (channel/persist.ts). */
  channel: (localId: string, suffix: string): string => `channel/${localId}/${suffix}`,
  /** What the node keeps beside the pure state: when it was opened, the id in lists. */
  channelMeta: (localId: string): string => `channel-meta/${localId}`,
  /** Records with a local id, a payment hash and a status (node/recordBook.ts); `kind` is `invoice` or `payment`. */
  record: (kind: RecordKind, hash: string): string => `${kind}/${hash}`,
  recordId: (kind: RecordKind, id: string): string => `${kind}-id/${id}`,
  /** By sequence number, which is the order of making; `all` or a status. */
  recordIndex: (kind: RecordKind, status: string): string => `${kind}-index/${status}/`,
  recordAt: (kind: RecordKind, status: string, seq: number): string => `${kind}-index/${status}/${padded(seq)}`,
  /** The same of the records that one API key asked for. */
  recordsBy: (kind: RecordKind, keyId: string, status: string): string => `${kind}-by/${keyId}/${status}/`,
  /** Settled forwards, in their order. */
  forwards: 'forward/',
  forward: (seq: number): string => `forward/${padded(seq)}`,
  /** Onions that HTLCs brought, by turns (node/onionsSeen.ts). */
  onions: 'onions/',
  onionsAt: (seq: number): string => `onions/${padded(seq)}`,
  /** What is known of an HTLC that lost writes may have had, until its channel is told (node/lostHtlcs.ts). */
  lostHtlc: (kind: 'offer' | 'preimage', name: string): string => `lost-htlc/${kind}/${name}`,
  event: (id: number): string => `event/${padded(id)}`,
  /** Sums of what events tell (node/analytics/), by the day or month that follows the prefix. */
  sums: (kind: string, subject: string, span: string): string => `sums/${kind}/${subject}/${span}/`,
  /** The last event that is in all sums. */
  sumsPosition: 'sums-position',
  /** Balances as they were in the hour or on the day that follows the prefix. */
  balances: (span: string): string => `balances/${span}/`,
  peer: (nodeId: string): string => `peer/${nodeId}`,
  /** What a peer had us keep (node/peerStorage.ts). */
  peerStorage: (nodeId: string): string => `peer-storage/${nodeId}`,
  /** The height since which that peer has had no channel with us. */
  peerStorageIdle: (nodeId: string): string => `peer-storage-idle/${nodeId}`,
  wallet: (suffix: string): string => `wallet/${suffix}`,
  /** By the order in which transactions were first seen; names the txid. */
  walletIndex: 'wallet-index/',
  walletAt: (order: number): string => `wallet-index/${padded(order)}`,
  /** Txid of what was sent under a local id chosen beforehand. */
  walletSend: (id: string): string => `wallet-send/${id}`,
  chain: 'chain/position',
  gossip: (suffix: string): string => `gossip/${suffix}`,
  api: (suffix: string): string => `api/${suffix}`,
} as const

/** The range of all keys that begin with the prefix. */
export const prefixRange = (prefix: string): { gte: string; lt: string } => ({ gte: prefix, lt: `${prefix}\uffff` })
