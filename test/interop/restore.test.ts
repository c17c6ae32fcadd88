import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outpointKey } from '../../src/base/ids.ts'
import { prepareRestore } from '../../src/node/restore.ts'
import { seedPath } from '../../src/node/seed.ts'
import type { ChannelView } from '../../src/node/service.ts'
import { readSeedFile } from '../../src/store/seal.ts'
import { loseAllBut } from './disks.ts'
import { hold } from './held.ts'
import { World } from './world.ts'

/** More than the fees of a close together. */
const FEES = 10_000n

let w: World
beforeAll(async () => {
  w = await World.start()
})
afterAll(() => w.stop())

const coins = async () => (await w.us.service.wallet()).confirmedSat
const spender = ({ funding }: ChannelView) => w.ground.chain.mempool.spender(outpointKey(funding!))

/** Mines until the one channel that is left is over, and tells what that cost since `before`. */
async function cost(before: bigint): Promise<bigint> {
  const last = async () => (await w.us.channels())[0]!
  await w.mine()
  const closing = await last()
  await w.until('our claim', async () => (await last()).closing !== null)
  for (let n = 0; n < 12 && (await last()).state !== 'closed'; n++) {
    await w.mine()
    await w.until('the block', () => w.us.service.info().blockHeight === w.ground.chain.state.height)
  }
  await w.until('the end', async () => (await last()).state === 'closed')
  expect((await last()).channelId).toBe(closing.channelId)
  return before - (await coins())
}

describe('BOLT 2 §message-retransmission with LDK: nothing is left but words and a backup', () => {
  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: LDK closes on request, and our share is ours',
    async (type) => {
      const before = await coins()
      const channel = await w.openToLdk(type, 1_000_000, 400_000)
      expect((await w.payUs(50_000_000)).status).toBe('settled')
      await w.quiet(channel.id)
      const heard = w.ground.verdicts.length
      await loseAllBut({ backup: true, peers: [] }, w.us)
      // The address is in the backup: nobody has to connect.
      await w.until('the commitment', () => spender(channel) !== undefined)
      const verdicts = w.ground.verdicts.slice(heard)
      expect(verdicts.filter((v) => v.from === 'fulmen')).toEqual([])
      expect(verdicts.map((v) => v.txid)).toContain(spender(channel)!.txid)
      const [restored] = await w.us.channels()
      expect(restored).toMatchObject({ channelId: channel.channelId, state: 'waiting-for-peer', type })
      const paid = await cost(before)
      expect(paid).toBeGreaterThan(350_000n)
      expect(paid).toBeLessThan(350_000n + FEES)
    },
  )
})

describe('BOLT 5 §htlc-output-handling-remote-commitment-local-offers with LDK, which does not tell its point', () => {
  it.each(['anchors', 'static_remotekey'] as const)(
    '%s: of payments that hung, the one that LDK claims is proven, the other comes back',
    async (type) => {
      const before = await coins()
      const channel = await w.openToLdk(type, 1_000_000, 400_000)
      const { toLdk } = await hold(w, [50_000_000, 60_000_000])
      // A start finds that they have hung, and tells its backup.
      await w.us.stop()
      await w.us.restart()
      await loseAllBut({ backup: true, peers: [] }, w.us)
      await w.until('the commitment', () => spender(channel) !== undefined)
      await w.mine()
      await w.until('our claim', async () => (await w.us.channels())[0]!.closing !== null)
      const [lost, claimed] = toLdk
      const shown = w.ground.verdicts.length
      await w.ldk.cmd('claim', { hash: claimed!.hash })
      await w.until('LDK’s claim', () => w.ground.verdicts.slice(shown).some((v) => v.from === 'ldk'))
      await w.mine()
      await w.until('the proof', async () => (await w.us.service.payment(claimed!.hash)).status === 'succeeded')
      const state = async () => (await w.us.channels())[0]!.state
      for (let n = 0; n < 150 && (await state()) !== 'closed'; n++) await w.mine()
      expect([await state(), (await w.us.service.payment(lost!.hash)).status]).toEqual(['closed', 'failed'])
      const paid = before - (await coins())
      expect(paid).toBeGreaterThan(460_000n)
      expect(paid).toBeLessThan(460_000n + FEES)
    },
  )
})

describe('BOLT 1 §peer-storage between real nodes: nothing is left but words and a peer’s address', () => {
  it('the peer gives back the backup, and closes', async () => {
    const peer = await w.another()
    const before = await coins()
    const channel = await w.openBetween(w.us, peer)
    const address = { nodeId: peer.nodeId, host: '127.0.0.1', port: peer.port }
    await loseAllBut({ backup: false, peers: [address] }, w.us)
    await w.until('the commitment', () => spender(channel) !== undefined)
    const paid = await cost(before)
    expect(paid).toBeGreaterThan(1_000_000n)
    expect(paid).toBeLessThan(1_000_000n + FEES)
  })

  it('says so when a peer has nothing of ours', async () => {
    const { dataDir } = w.us
    const words = (await readSeedFile(seedPath(dataDir), null))!.secret
    const ldk = { nodeId: w.ldk.nodeId, host: '127.0.0.1', port: w.link.port }
    const request = {
      dataDir: join(dataDir, 'new'),
      network: 'regtest',
      words,
      passphrase: null,
      timeoutMs: 50,
    } as const
    const nothing = prepareRestore({ ...request, backup: null, peers: [ldk] })
    await expect(nothing).rejects.toMatchObject({ code: 'PEER_HAS_NO_BACKUP' })
  })
})
