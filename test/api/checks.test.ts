import { describe, expect, it } from 'vitest'
import { lookAround, type Surroundings } from '../../src/api/alerts/look.ts'
import { KeyAdmin } from '../../src/api/auth/keyAdmin.ts'
import { KeyRing } from '../../src/api/auth/keys.ts'
import { endingKey, ownKey } from '../../src/api/checks/access.ts'
import { newKey, selfSigned } from '../../src/api/tls/certificate.ts'
import { Webhooks } from '../../src/api/webhooks/webhooks.ts'
import { sat } from '../../src/base/units.ts'
import { FakeNode, PEER_ID } from './fakeNode.ts'

const DAY_MS = 24 * 3_600_000

/** The checks of a running API, over a node of records. */
async function checked(surroundings: Surroundings = {}) {
  const node = new FakeNode()
  const clock = { nowMs: Date.UTC(2026, 0, 1) }
  const failures: unknown[] = []
  const onError = (error: unknown) => failures.push(error)
  const keys = await KeyRing.open(node.apiStore, () => clock.nowMs)
  const bearer = await keys.create('operator', ['*'])
  const webhooks = new Webhooks(node, keys, { targets: ['127.0.0.0/8'], onError })
  await webhooks.load()
  const look = () => lookAround({ service: node, keys, webhooks, surroundings, onError })
  const codes = async () =>
    (await look()).findings.flatMap(({ alert, level }) => (alert && level !== 'ok' ? [alert.code] : []))
  const caller = keys.verify(`Bearer ${bearer}`)
  return { node, clock, keys, webhooks, look, codes, caller, failures }
}

describe('what a node looks at', () => {
  it('is well when nothing is wrong', async () => {
    const { codes, failures } = await checked()
    expect([await codes(), failures]).toEqual([[], []])
  })

  it('a key that is about to end, until it is rotated or revoked, and a day after its end', async () => {
    const { codes, clock, keys, caller } = await checked()
    const admin = new KeyAdmin(keys)
    const actor = { ...caller, address: '127.0.0.1' }
    const make = async (name: string) => {
      const expiresAt = new Date(clock.nowMs + 30 * DAY_MS).toISOString()
      const settings = { name, scopes: ['node:read'] as const, expiresAt }
      return (await admin.create(actor, settings as never)).record.id
    }
    const [one, other] = [await make('one'), await make('other')]
    await keys.tick()
    expect(await codes()).toEqual([])
    clock.nowMs += 25 * DAY_MS
    await keys.tick()
    expect(await codes()).toEqual(['KEY_EXPIRING', 'KEY_EXPIRING'])
    await admin.revoke(actor, one)
    expect(await codes()).toEqual(['KEY_EXPIRING'])
    clock.nowMs += 5.5 * DAY_MS
    expect(await codes()).toEqual(['KEY_EXPIRING'])
    await admin.update(actor, other, { expiresAt: new Date(clock.nowMs + 300 * DAY_MS).toISOString() } as never)
    expect(await codes()).toEqual([])
  })

  it('a certificate near its end, of one that lives for days its last third', async () => {
    let certificate = ''
    const { codes, clock } = await checked({ certificate: () => certificate })
    const { createPrivateKey, createPublicKey } = await import('node:crypto')
    const pem = newKey()
    const pair = { privateKey: createPrivateKey(pem), publicKey: createPublicKey(pem) }
    certificate = selfSigned(pair, ['localhost'], clock.nowMs)
    expect(await codes()).toEqual([])
    clock.nowMs += 812 * DAY_MS
    expect(await codes()).toEqual(['CERTIFICATE_EXPIRING'])
    clock.nowMs += 14 * DAY_MS
    expect(await codes()).toEqual(['CERTIFICATE_EXPIRING'])
  })

  it('a webhook whose receiver fails for minutes, and one that was given up', async () => {
    const { codes, clock, webhooks, caller } = await checked()
    const { hook } = await webhooks.create(caller, { url: 'http://127.0.0.1:9/' })
    const failing = { since: new Date(clock.nowMs).toISOString(), attempts: 3, nextAttemptAt: '2099-01-01T00:00:00Z' }
    await hook.change((record) => ({ ...record, failing }))
    expect(await codes()).toEqual([])
    clock.nowMs += 10 * 60_000
    expect(await codes()).toEqual(['WEBHOOK_FAILING'])
    await hook.change((record) => ({ ...record, gaveUp: 'HTTP 410' }))
    expect(await codes()).toEqual(['WEBHOOK_FAILED'])
    await webhooks.update(caller, hook.record.id, { enabled: true })
    expect(await codes()).toEqual([])
    await webhooks.close()
  })

  it('the chain, the disk, the wallet and the channels', async () => {
    const { node, codes } = await checked()
    const calm = { confirmedSat: sat(1n), unconfirmedSat: sat(0n), lockedSat: sat(0n), immatureSat: sat(0n) }
    node.readiness = { ready: false, reasons: ['the chain is being caught up with', 'disk space is low: refused'] }
    node.wallet = async () => ({ ...calm, reservedSat: sat(10_000n) })
    const channel = await node.openChannel({ peer: PEER_ID, capacitySat: sat(100_000n) })
    const states = {
      doubt: { waitsFor: 'its peer: the database lost writes' },
      bug: { usable: false, peerConnected: true, state: 'normal', waitsFor: 'its operator: a bug in this channel' },
      restored: { state: 'waiting-for-peer', waitsFor: 'its peer to close it' },
    }
    for (const [id, more] of Object.entries(states)) node.channelViews.set(id, { ...channel, id, ...more })
    expect((await codes()).toSorted()).toEqual([
      'CHAIN_BEHIND',
      'CHANNEL_IN_DOUBT',
      'CHANNEL_QUARANTINED',
      'CHANNEL_WAITS_FOR_PEER',
      'DISK_LOW',
      'WALLET_RESERVE_SHORT',
    ])
  })

  it.each([
    ['its peer to close it', 'the last resort is --accept-risk'],
    ['the peer to publish its commitment; ours is published after block 120', 'our own commitment follows by itself'],
  ])('a channel whose peer is to close it: %s', async (waitsFor, orElse) => {
    const { node, look } = await checked()
    const channel = await node.openChannel({ peer: PEER_ID, capacitySat: sat(100_000n) })
    node.channelViews.set(channel.id, { ...channel, state: 'waiting-for-peer', waitsFor })
    const { findings } = await look()
    expect(findings.find((f) => f.alert?.code === 'CHANNEL_WAITS_FOR_PEER')?.cure).toContain(orElse)
  })

  it('a check that fails leaves what it would find as it was, and all others are made', async () => {
    const { node, look, failures } = await checked()
    node.readiness = { ready: false, reasons: ['disk space is low: refused'] }
    node.wallet = async () => {
      throw new Error('not now')
    }
    const { findings, unknown } = await look()
    expect(findings.flatMap(({ alert }) => alert?.code ?? [])).toContain('DISK_LOW')
    expect([...unknown]).toEqual(['WALLET_RESERVE_SHORT'])
    expect(failures).toHaveLength(1)
  })
})

describe('how long a key still works', () => {
  const HOUR_MS = 3_600_000
  it.each([
    [3.5 * DAY_MS, '3 more days'],
    [2 * DAY_MS - 1, '47 more hours'],
    [2 * HOUR_MS, '2 more hours'],
    [2 * HOUR_MS - 1, '119 more minutes'],
    [60_000, '1 more minute'],
    [59_999, '0 more minutes'],
  ])('%i ms are told as %s', (left, said) => {
    const ends = new Date(left).toISOString()
    const key = { id: 'k', name: 'k', expiresAt: ends, rotateBy: null }
    const told = [...endingKey(key, { until: left, now: 0 }), ownKey(key, 0)].map(({ message }) => message)
    expect(told).toEqual([`k works for ${said}`, `k works for ${said}`])
  })

  it('is prolonged by what ends it: a new version lives no longer than its key', () => {
    const day = (n: number) => new Date(n * DAY_MS).toISOString()
    const cures = (expiresAt: string | null, rotateBy: string | null, until: number) => [
      ownKey({ id: 'k', expiresAt, rotateBy }, 0).cure,
      ...endingKey({ id: 'k', name: 'k', expiresAt }, { until, now: 0 }).map(({ cure }) => cure),
    ]
    const later = 'fulmen key update k --expires-at DATE'
    expect(cures(day(3), null, 3 * DAY_MS)).toEqual([later, later])
    expect(cures(day(3), day(9), 3 * DAY_MS)).toEqual([later, later])
    expect(cures(day(90), day(3), 3 * DAY_MS)).toEqual(['fulmen key rotate k', 'fulmen key rotate k'])
    expect(cures(null, day(3), 3 * DAY_MS)).toEqual(['fulmen key rotate k', 'fulmen key rotate k'])
  })
})
