import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import type { UnspentOutput } from '../../src/chain/source.ts'
import { walletScript } from '../../src/wallet/keys.ts'
import { loadWallet, walletRecords } from '../../src/wallet/records.ts'
import { restoreWallet } from '../../src/wallet/restore.ts'
import { unspentCoins, walletBalance } from '../../src/wallet/status.ts'
import { FakeSource } from '../chain/fakeSource.ts'
import { account, foreignOutpoint, mine, output, transaction } from './world.ts'

/** A chain that mines a block between scans, and has these outputs on it. */
class ScannedSource extends FakeSource {
  scans = 0
  readonly outputs: readonly UnspentOutput[]
  constructor(outputs: readonly UnspentOutput[]) {
    super()
    this.outputs = outputs
    for (let i = 0; i < 5; i++) this.extend([])
  }
  override scanUnspent = (async (scripts: readonly Uint8Array[]) => {
    this.scans++
    const asked = new Set(scripts.map(toHex))
    const { hash, height } = this.extend([], this.scans)
    const outputs = this.outputs.filter((o) => asked.has(toHex(o.output.scriptPubKey)) && o.height <= height)
    return { tip: { hash, height }, outputs }
  }) as never
}

const paid = (keyIndex: number, height: number): UnspentOutput => ({
  outpoint: foreignOutpoint(keyIndex),
  output: output(1_000 + keyIndex, walletScript(account, 0, keyIndex)),
  height,
  coinbase: false,
})

describe('restoring a wallet from its seed', () => {
  it('BIP 44 §address-gap-limit: scans again as long as what it finds widens the gap', async () => {
    const source = new ScannedSource([paid(15, 2), paid(34, 3), paid(53, 4), paid(90, 5)])
    const wallet = await restoreWallet(source, account, 20)
    expect(unspentCoins(wallet).map((v) => v.coin.keyIndex)).toEqual([15, 34, 53])
    expect(wallet.next).toEqual([54, 0])
    expect(source.scans).toBe(4)
    expect((await restoreWallet(source, account)).coins.size).toBe(4)
  })

  it('stands at the block of its first scan, and leaves what came later to the blocks that follow', async () => {
    const source = new ScannedSource([paid(15, 6), paid(30, 7)])
    const wallet = await restoreWallet(source, account, 20)
    expect([wallet.height, wallet.hash]).toEqual([6, source.active[6]!.hash])
    expect(walletBalance(wallet).confirmedSat).toBe(1_015n)
  })

  it('knows after a restart, too, what is paid late to an address that was given out before the loss', async () => {
    const restored = await restoreWallet(new ScannedSource([paid(15, 2)]), account)
    const records = walletRecords(null, restored).map((r): [string, unknown] => [r.key, r.value])
    const restarted = loadWallet(account, records)!
    // Of a channel that had agreed on its close, perhaps: twenty addresses would not reach so far.
    const late = transaction([foreignOutpoint(7)], [output(50_000, walletScript(account, 0, 120))])
    for (const wallet of [restored, restarted]) expect(walletBalance(mine(wallet, late)).confirmedSat).toBe(51_015n)
  })

  it('finds what lies beyond the gap, where a backup says how many addresses were given out', async () => {
    const source = new ScannedSource([paid(15, 2), paid(700, 3)])
    expect((await restoreWallet(source, account)).coins.size).toBe(1)
    const wallet = await restoreWallet(source, account, undefined, [650, 3])
    expect([wallet.coins.size, wallet.next]).toEqual([2, [701, 3]])
  })
})
