import { toHex } from '../../../src/base/bytes.ts'
import { type NodeId, type Outpoint, type PaymentHash, txid } from '../../../src/base/ids.ts'
import { type Msat, msat, type Sat, sat } from '../../../src/base/units.ts'
import { p2wpkhOfKey } from '../../../src/bitcoin/script.ts'
import type { Transaction } from '../../../src/bitcoin/transaction.ts'
import { buildRemote, signedLocal, signRemote } from '../../../src/channel/commitments.ts'
import type { Htlc, RevokedHtlc } from '../../../src/channel/htlc.ts'
import { htlcTable } from '../../../src/channel/htlcTable.ts'
import { secpSigner } from '../../../src/channel/signer.ts'
import type { Channel, SideParams } from '../../../src/channel/state.ts'
import { fundingScriptPubKey } from '../../../src/channel/tx/scripts.ts'
import type { Basepoints, ChannelContext, ChannelSigner, ChannelTypeName } from '../../../src/channel/types.ts'
import { crypto } from '../../../src/crypto/crypto.ts'
import { EMPTY_SECRETS, insertSecret, type SecretStore } from '../../../src/crypto/shachain.ts'

export const START = 500
export const CAPACITY: Sat = sat(10_000_000)
export const DELAY = { alice: 12, bob: 20 }
export const FEERATE = 1000
export const GIFT: Sat = sat(50_000)

/** An HTLC as both sides have it. `knows`: the receiver has the preimage when the channel closes. */
export interface HtlcSpec {
  readonly from: 'alice' | 'bob'
  readonly amountSat: number
  readonly cltvExpiry: number
  readonly n: number
  readonly knows: boolean
  /** The commitment number from which it stands in the channel; the setup's own when left out. */
  readonly since?: number
}
export const preimageOf = (spec: HtlcSpec): Uint8Array => new Uint8Array(32).fill(spec.n)
const hashOf = (spec: HtlcSpec): PaymentHash => toHex(crypto.sha256(preimageOf(spec))) as PaymentHash

export type Name = 'alice' | 'bob'
export const other = (who: Name): Name => (who === 'alice' ? 'bob' : 'alice')
const SEEDS = { alice: 1, bob: 2 }
export const signers: Record<Name, ChannelSigner> = {
  alice: secpSigner(new Uint8Array(32).fill(SEEDS.alice), new Uint8Array(32).fill(5)),
  bob: secpSigner(new Uint8Array(32).fill(SEEDS.bob), new Uint8Array(32).fill(6)),
}
export const walletSecrets: Record<Name, Uint8Array> = {
  alice: new Uint8Array(32).fill(11),
  bob: new Uint8Array(32).fill(12),
}
export const walletKey = (who: Name): Uint8Array => crypto.publicKey(walletSecrets[who])
export const walletScript = (who: Name): Uint8Array => p2wpkhOfKey(walletKey(who))

export const FUNDING: Outpoint = { txid: txid('fd'.repeat(32)), index: 0 }
export const fundingScript = fundingScriptPubKey(
  signers.alice.basepoints.fundingPubkey,
  signers.bob.basepoints.fundingPubkey,
)

export interface Setup {
  readonly type: ChannelTypeName
  readonly opener: Name
  /** Commitment number, the same on both sides. */
  readonly number: number
  readonly htlcs: readonly HtlcSpec[]
  readonly feeratePerKw?: number
  /** Basepoints that bob has declared as his own, though they are alice's. */
  readonly copied?: readonly (keyof Basepoints)[]
}

const basepointsOf = (who: Name, { copied = [] }: Setup): Basepoints => {
  const own = signers[who].basepoints
  const stolen = who === 'alice' ? [] : copied.map((key) => [key, signers.alice.basepoints[key]])
  return { ...own, ...Object.fromEntries(stolen) }
}

const sideParams = (who: Name, s: Setup): SideParams => ({
  dustLimitSat: sat(who === 'alice' ? 546 : 700),
  maxHtlcValueInFlightMsat: msat(CAPACITY * 1000n),
  channelReserveSat: sat(10_000),
  htlcMinimumMsat: msat(1),
  // What this side asks the other to wait.
  toSelfDelay: DELAY[other(who)],
  maxAcceptedHtlcs: 483,
  basepoints: basepointsOf(who, s),
  upfrontShutdownScript: null,
})

function secretsOf(who: Name, count: number): SecretStore {
  let store = EMPTY_SECRETS
  for (let n = 0; n < count; n++) store = insertSecret(store, signers[who].commitmentSecret(n))!
  return store
}

const record = (spec: HtlcSpec, id: number, direction: 'in' | 'out', number: number): Htlc => ({
  add: {
    id: BigInt(id),
    amountMsat: msat(spec.amountSat * 1000),
    paymentHash: hashOf(spec),
    cltvExpiry: spec.cltvExpiry,
    onion: new Uint8Array(0),
    pathKey: null,
    origin: direction === 'out' ? { tag: 'payment', paymentHash: hashOf(spec), attempt: 0 } : null,
    excessDust: false,
  },
  stage: 'committed',
  remoteFrom: spec.since ?? Math.max(1, number),
  remoteTo: 0,
  removal: direction === 'in' && spec.knows ? { tag: 'fulfilled', preimage: preimageOf(spec) } : null,
})

/** One side's record of a channel in which all HTLCs are committed; without the peer's signatures. */
function unsignedChannel(who: Name, s: Setup): Channel {
  const peer = other(who)
  const mine = s.htlcs.filter((h) => h.from === who)
  const theirs = s.htlcs.filter((h) => h.from === peer)
  const numbers = { number: s.number, feeratePerKw: s.feeratePerKw ?? FEERATE, shiftMsat: 0n }
  const totals = { ...numbers, outMsat: 0n, outCount: 0, inMsat: 0n, inCount: 0, untrimmed: 0, dustMsat: 0n }
  const half = msat(CAPACITY * 500n)
  return {
    params: {
      channelId: 'cc'.repeat(32) as Channel['params']['channelId'],
      remoteNodeId: '02'.repeat(33) as NodeId,
      isOpener: s.opener === who,
      announce: false,
      channelType: s.type,
      keyIndex: 0,
      minimumDepth: 3,
      local: sideParams(who, s),
      remote: sideParams(peer, s),
      openedAt: START,
    },
    commitments: {
      active: [
        {
          funding: FUNDING,
          capacitySat: CAPACITY,
          baseLocalMsat: half as Msat,
          baseRemoteMsat: half as Msat,
          signature: new Uint8Array(64),
          htlcSignatures: [],
        },
      ],
      outgoing: htlcTable(mine.map((h, i) => record(h, i, 'out', s.number))),
      incoming: htlcTable(theirs.map((h, i) => record(h, i, 'in', s.number))),
      nextOutgoingId: BigInt(mine.length),
      nextIncomingId: BigInt(theirs.length),
      feeUpdates: [],
      local: numbers,
      remote: { ...numbers, point: signers[peer].commitmentPoint(s.number) },
      remoteSigned: null,
      remoteNextPoint: null,
      secrets: secretsOf(peer, s.number),
      next: { local: totals, remote: totals },
    },
    funding: { tx: null, confirmed: { height: START, txIndex: 1 } },
    relay: {
      feeBaseMsat: 0,
      feeProportionalMillionths: 0,
      cltvExpiryDelta: 40,
      htlcMinimumMsat: msat(1),
      htlcMaximumMsat: msat(1),
    },
    announcement: { sent: 'never', remote: null },
    localReady: true,
    remoteReady: true,
    remoteAlias: null,
    theirFeatures: new Uint8Array(0),
  }
}

/** One side's record, with the signatures that the other side's record makes. */
export function channelOf(who: Name, s: Setup): Channel {
  const channel = unsignedChannel(who, s)
  const theirs = unsignedChannel(other(who), s)
  const signatures = signRemote(buildRemote(theirs, theirs.commitments.active[0]!), signers[other(who)])
  const active = [{ ...channel.commitments.active[0]!, ...signatures }]
  return { ...channel, commitments: { ...channel.commitments, active } }
}

export const contextOf = (who: Name, blockHeight: number, claim = FEERATE): ChannelContext => ({
  blockHeight,
  chainHash: new Uint8Array(32),
  nodeId: '03'.repeat(33) as NodeId,
  feerates: { commitment: FEERATE, closing: FEERATE, claim },
  signer: signers[who],
  policy: { htlcFailDepth: 6, closeBeforeExpiry: 12 } as ChannelContext['policy'],
  sweepScriptPubKey: walletScript(who),
})

/** The records of a setup's HTLCs once they are settled, as one side keeps them to punish the other. */
export const settled = (who: Name, s: Setup, remoteTo: number): readonly RevokedHtlc[] =>
  s.htlcs.map((h) => ({
    direction: h.from === who ? 'out' : 'in',
    amountMsat: msat(h.amountSat * 1000),
    paymentHash: hashOf(h),
    cltvExpiry: h.cltvExpiry,
    remoteFrom: s.number,
    remoteTo,
  }))

/** Our commitment of a setup, signed by both: what this side could publish, then or ever after. */
export const commitmentTx = (who: Name, s: Setup): Transaction => {
  const channel = channelOf(who, s)
  return signedLocal(channel, channel.commitments.active[0]!, contextOf(who, START))
}
