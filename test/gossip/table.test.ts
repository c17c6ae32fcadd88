import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex } from '../../src/base/bytes.ts'
import { nodeId, shortChannelId, type Txid } from '../../src/base/ids.ts'
import { sat } from '../../src/base/units.ts'
import { p2wsh } from '../../src/bitcoin/script.ts'
import type { Transaction } from '../../src/bitcoin/transaction.ts'
import { fundingScriptPubKey } from '../../src/channel/tx/scripts.ts'
import { nobleProvider as noble } from '../../src/crypto/noble.ts'
import { aliasBytes, type OwnNode, ownChannelUpdate, ownNodeAnnouncement } from '../../src/gossip/own.ts'
import { GossipTable } from '../../src/gossip/table.ts'
import { checkChannelAnnouncement, fundingOutputOf, gossipDigest, isTooLong } from '../../src/gossip/validate.ts'
import { networkAddress } from '../../src/wire/address.ts'
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../src/wire/messages/gossip.ts'
import { decodeMessage, encodeMessage } from '../../src/wire/registry.ts'

const CHAIN = new Uint8Array(32).fill(6)
const secret = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const key = (n: number): Uint8Array => noble.publicKey(secret(n))
const SCID = shortChannelId(100, 1, 0)
const NOW = 1_700_000_000

/** Two nodes with their funding keys; the one whose id sorts first is node 1. */
const [first, second] = [1, 2]
  .map((n) => ({ node: n, bitcoin: n + 10, id: nodeId(toHex(key(n))) }))
  .sort((a, b) => (a.id < b.id ? -1 : 1)) as [Party, Party]
interface Party {
  node: number
  bitcoin: number
  id: ReturnType<typeof nodeId>
}
const own = (p: Party): OwnNode => ({ nodeId: p.id, nodeSecret: secret(p.node), chainHash: CHAIN })

function announcement(change: Partial<ChannelAnnouncement> = {}): ChannelAnnouncement {
  const blank = new Uint8Array(64)
  const unsigned: ChannelAnnouncement = {
    type: 'channel_announcement',
    nodeSignature1: blank,
    nodeSignature2: blank,
    bitcoinSignature1: blank,
    bitcoinSignature2: blank,
    features: new Uint8Array(0),
    chainHash: CHAIN,
    shortChannelId: SCID,
    nodeId1: first.id,
    nodeId2: second.id,
    bitcoinKey1: key(first.bitcoin),
    bitcoinKey2: key(second.bitcoin),
    extension: new Uint8Array(0),
    ...change,
  }
  const digest = gossipDigest(unsigned)
  return {
    ...unsigned,
    nodeSignature1: noble.ecdsaSign(digest, secret(first.node)),
    nodeSignature2: noble.ecdsaSign(digest, secret(second.node)),
    bitcoinSignature1: noble.ecdsaSign(digest, secret(first.bitcoin)),
    bitcoinSignature2: noble.ecdsaSign(digest, secret(second.bitcoin)),
  }
}
/** The same signature in its other form: s for n − s. */
const withHighS = (signature: Uint8Array): Uint8Array => {
  const s = ORDER - BigInt(`0x${toHex(signature.subarray(32))}`)
  return concatBytes(signature.subarray(0, 32), fromHex(s.toString(16).padStart(64, '0')))
}
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const funding = { outpoint: { txid: 'aa'.repeat(32) as Txid, index: 0 }, capacitySat: sat(1_000_000) }
const policy = {
  feeBaseMsat: 1,
  feeProportionalMillionths: 10,
  cltvExpiryDelta: 40,
  htlcMinimumMsat: 1n,
  htlcMaximumMsat: 10n,
} as never
const update = (p: Party, timestamp: number, change: { dontForward?: boolean } = {}) =>
  ownChannelUpdate(own(p), {
    shortChannelId: SCID,
    remoteNodeId: p === first ? second.id : first.id,
    policy,
    disabled: false,
    dontForward: change.dontForward ?? false,
    timestamp,
  })
const withChannel = (): GossipTable => {
  const table = new GossipTable(CHAIN)
  table.addChannel(announcement(), funding)
  return table
}

describe('BOLT 7 §the-channel_announcement-message: receiving node', () => {
  it('takes four right signatures and refuses each wrong one with blame', () => {
    expect(checkChannelAnnouncement(announcement(), CHAIN).ok).toBe(true)
    for (const field of ['nodeSignature1', 'nodeSignature2', 'bitcoinSignature1', 'bitcoinSignature2'] as const) {
      const damaged = { ...announcement(), [field]: announcement({ shortChannelId: shortChannelId(9, 9, 9) })[field] }
      const checked = checkChannelAnnouncement(damaged, CHAIN)
      expect(checked.ok ? null : checked.error.blame).toBe(true)
    }
  })

  it('ignores without blame what LND passes on: node ids in descending order, signatures with a high S', () => {
    const { nodeId1, nodeId2, ...rest } = announcement()
    const turned = announcement({ nodeId1: nodeId2, nodeId2: nodeId1 })
    expect(checkChannelAnnouncement(turned, CHAIN)).toMatchObject({ error: { blame: false } })
    const high = { ...rest, nodeId1, nodeId2, bitcoinSignature2: withHighS(rest.bitcoinSignature2) }
    expect(checkChannelAnnouncement(high, CHAIN)).toMatchObject({ error: { blame: false } })
    const blamed = (m: { readonly signature: Uint8Array }) => {
      const table = withChannel()
      const taken =
        'nodeId' in m ? table.acceptNode(m as NodeAnnouncement) : table.acceptUpdate(m as ChannelUpdate, NOW)
      return taken.ok ? null : taken.error.blame
    }
    const node = ownNodeAnnouncement(own(first), {
      alias: '',
      features: new Uint8Array(0),
      addresses: [],
      timestamp: 1,
    })
    for (const m of [update(first, NOW), node]) {
      expect(blamed(m)).toBe(null)
      expect(blamed({ ...m, signature: withHighS(m.signature) })).toBe(false)
      const forged = m.signature.with(40, m.signature[40]! ^ 1)
      expect(blamed({ ...m, signature: forged })).toBe(true)
    }
  })

  it('signs over unknown bytes at the end too', () => {
    const longer = announcement({ extension: Uint8Array.of(1, 2, 3) })
    expect(checkChannelAnnouncement(longer, CHAIN).ok).toBe(true)
    expect(checkChannelAnnouncement({ ...longer, extension: Uint8Array.of(1, 2) }, CHAIN).ok).toBe(false)
  })

  it('ignores a channel of another chain, without blame', () => {
    expect(checkChannelAnnouncement(announcement(), new Uint8Array(32))).toMatchObject({ error: { blame: false } })
  })

  it('wants the funding output to exist and to pay to the announced keys', () => {
    const script = fundingScriptPubKey(key(first.bitcoin), key(second.bitcoin))
    const tx = (scriptPubKey: Uint8Array): Transaction => ({
      version: 2,
      inputs: [],
      lockTime: 0,
      outputs: [{ amountSat: sat(5), scriptPubKey }],
    })
    const block = (scriptPubKey: Uint8Array) =>
      [0, 1].map((n) => ({ txid: `${n}${n}`.repeat(32) as Txid, tx: tx(scriptPubKey) }))
    expect(fundingOutputOf(announcement(), block(script))).toEqual({
      ok: true,
      value: { outpoint: { txid: '11'.repeat(32), index: 0 }, capacitySat: 5n },
    })
    expect(fundingOutputOf(announcement(), block(p2wsh(Uint8Array.of(0x51)))).ok).toBe(false)
    expect(fundingOutputOf(announcement({ shortChannelId: shortChannelId(100, 7, 0) }), block(script)).ok).toBe(false)
  })
})

describe('BOLT 7 §the-channel_update-message: receiving node', () => {
  it('takes only newer updates, each signed by the end that it speaks for', () => {
    const table = withChannel()
    expect(table.acceptUpdate(update(first, NOW), NOW).ok).toBe(true)
    expect(table.acceptUpdate(update(second, NOW), NOW).ok).toBe(true)
    expect(table.acceptUpdate(update(first, NOW), NOW)).toMatchObject({ error: { blame: false } })
    expect(table.acceptUpdate(update(first, NOW + 1), NOW).ok).toBe(true)
    const forged = { ...update(second, NOW + 2), signature: update(first, NOW + 2).signature }
    expect(table.acceptUpdate(forged, NOW)).toMatchObject({ error: { blame: true } })
    expect(table.channel(SCID)?.updates.map((u) => u?.timestamp)).toEqual([NOW + 1, NOW])
  })

  it('ignores a timestamp of 0, which never grows stale, and for which LND bans those who pass it on', () => {
    const table = withChannel()
    const node = ownNodeAnnouncement(own(first), {
      alias: 'a',
      features: new Uint8Array(0),
      addresses: [],
      timestamp: 0,
    })
    for (const taken of [table.acceptUpdate(update(first, 0), NOW), table.acceptNode(node)])
      expect(taken).toMatchObject({ ok: false, error: { blame: false } })
    expect(table.channel(SCID)?.updates).toEqual([null, null])
  })

  it('ignores updates from far in the future, for the peer alone, or of unknown channels', () => {
    expect(withChannel().acceptUpdate(update(first, NOW + 90_000), NOW).ok).toBe(false)
    expect(withChannel().acceptUpdate(update(first, NOW, { dontForward: true }), NOW).ok).toBe(false)
    expect(new GossipTable(CHAIN).acceptUpdate(update(first, NOW), NOW).ok).toBe(false)
  })
})

describe('an announcement is too long for whatever is long in it', () => {
  const long = new Uint8Array(2_049)
  const node = ownNodeAnnouncement(own(first), { alias: 'a', features: long.slice(1), addresses: [], timestamp: NOW })
  const port = 9735

  it.each([
    ['a channel’s features', announcement({ features: long }), announcement({ features: long.slice(1) })],
    ['its unknown bytes', announcement({ extension: long }), announcement({ extension: long.slice(1) })],
    ['a node’s features', { ...node, features: long }, node],
    ['its addresses', { ...node, addresses: [{ tag: 'dns', host: 'x', port }] }, node],
    ['addresses that nobody knows', { ...node, addresses: [{ tag: 'opaque', bytes: long.slice(2_048) }] }, node],
    ['an update', { ...update(first, NOW), extension: long }, update(first, NOW)],
  ] as const)('%s', (_, tooLong, longest) => {
    expect([isTooLong(tooLong), isTooLong(longest)]).toEqual([true, false])
  })
})

describe('BOLT 7 §the-node_announcement-message', () => {
  const node = (p: Party, timestamp: number) =>
    ownNodeAnnouncement(own(p), {
      alias: 'zoë',
      features: new Uint8Array(0),
      addresses: [{ tag: 'ipv4', host: '127.0.0.1', port: 9735 }],
      timestamp,
    })

  it('is taken only of nodes with a known channel, and only when newer', () => {
    expect(new GossipTable(CHAIN).acceptNode(node(first, NOW)).ok).toBe(false)
    const table = withChannel()
    expect(table.acceptNode(node(first, NOW)).ok).toBe(true)
    expect(table.acceptNode(node(first, NOW)).ok).toBe(false)
    expect(table.acceptNode({ ...node(second, NOW), alias: aliasBytes('x') })).toMatchObject({ error: { blame: true } })
  })

  it('has our addresses in ascending order of their types, however they were given', () => {
    const about = { alias: 'a', features: new Uint8Array(0), timestamp: NOW }
    const onion = `${'a'.repeat(56)}.onion`
    const given = [
      ['b.example', 1],
      [onion, 2],
      ['::1', 3],
      ['1.2.3.4', 4],
      ['1.2.3.4', 2],
    ] as const
    const addresses = given.map(([host, port]) => networkAddress(host, port))
    const m = decodeMessage(encodeMessage(ownNodeAnnouncement(own(first), { ...about, addresses })))
    if (m.type !== 'node_announcement') throw new Error(m.type)
    expect(m.addresses.map((a) => a.tag)).toEqual(['ipv4', 'ipv4', 'ipv6', 'torV3', 'dns'])
    expect(withChannel().acceptNode(m).ok).toBe(true)
  })

  it('is forgotten with the last channel of the node', () => {
    const table = withChannel()
    table.acceptNode(node(first, NOW))
    expect(table.removeChannel(SCID)).toBeDefined()
    expect([table.nodes(), table.channels(), table.scidOfFunding(funding.outpoint)]).toEqual([[], [], undefined])
  })

  it('cuts an alias at a whole character', () => {
    expect(new TextDecoder().decode(aliasBytes('é'.repeat(17))).replaceAll('\0', '')).toBe('é'.repeat(16))
    expect(new TextDecoder().decode(aliasBytes(`a${'é'.repeat(17)}`)).replaceAll('\0', '')).toBe(`a${'é'.repeat(15)}`)
  })
})
