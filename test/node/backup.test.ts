import { describe, expect, it } from 'vitest'
import type { ChannelId, NodeId, Txid } from '../../src/base/ids.ts'
import { openBackup, type StaticBackup, sealBackup } from '../../src/node/backup.ts'

const key = new Uint8Array(32).fill(1)
const backup: StaticBackup = {
  version: 1,
  nodeId: '02'.repeat(33) as NodeId,
  journal: 7,
  channels: [
    {
      channelId: 'aa'.repeat(32) as ChannelId,
      peer: '03'.repeat(33) as NodeId,
      address: '127.0.0.1:9735',
      funding: { txid: 'bb'.repeat(32) as Txid, index: 1 },
      capacitySat: 1_000_000n,
      channelType: 'anchors',
      isOpener: true,
      keyIndex: 3,
    },
  ],
}

describe('static channel backup', () => {
  it('opens with the seed that made it', () => {
    expect(openBackup(sealBackup(backup, key), key)).toEqual(backup)
  })

  it('does not open with another seed, nor damaged, nor cut short', () => {
    const sealed = sealBackup(backup, key)
    const damaged = Uint8Array.from(sealed)
    damaged[20]! ^= 1
    for (const [bytes, k] of [
      [sealed, new Uint8Array(32).fill(2)],
      [damaged, key],
      [sealed.subarray(0, 20), key],
      [new Uint8Array(0), key],
    ] as const) {
      expect(() => openBackup(bytes, k)).toThrowError(expect.objectContaining({ code: 'BACKUP_INVALID' }))
    }
  })

  it('never seals the same twice, so that two backups tell nothing by their likeness', () => {
    expect(sealBackup(backup, key)).not.toEqual(sealBackup(backup, key))
  })
})
