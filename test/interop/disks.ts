import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backupPath } from '../../src/node/backup.ts'
import type { PeerAddress } from '../../src/node/peers.ts'
import { prepareRestore } from '../../src/node/restore.ts'
import { seedPath } from '../../src/node/seed.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { prefixRange } from '../../src/store/schema.ts'
import { readSeedFile } from '../../src/store/seal.ts'
import type { OurNode } from './ourNode.ts'

/** What can become of a node's disk while the node is down. */

/** A copy of some time ago takes the place of a directory, and is gone from where it was. */
export async function putBack(copy: string, directory: string): Promise<void> {
  await rm(directory, { recursive: true })
  await cp(copy, directory, { recursive: true })
  await rm(copy, { recursive: true })
}

/** Of a running node nothing is left but its words and, if so, its channel backup, or the peers that keep a copy; it runs on those then. */
export async function loseAllBut(
  left: { readonly backup: boolean; readonly peers?: readonly PeerAddress[] },
  node: OurNode,
): Promise<void> {
  const { dataDir } = node
  const words = (await readSeedFile(seedPath(dataDir), null))!.secret
  const backup = left.backup ? new Uint8Array(await readFile(backupPath(dataDir))) : null
  await node.stop()
  await rm(dataDir, { recursive: true })
  const { peers = [] } = left
  const prepared = await prepareRestore({ dataDir, network: 'regtest', words, passphrase: null, backup, peers })
  expect(prepared.silent).toEqual([])
  await node.restart()
}

/** A batch of a node that has ended is not on its disk: its journal has a gap. */
export async function loseAWrite({ dataDir }: OurNode): Promise<void> {
  const driver = await LevelDriver.open(join(dataDir, 'db'))
  const numbers: string[] = []
  for await (const [key] of driver.entries(prefixRange('journal/'))) numbers.push(key)
  await driver.batch([{ key: numbers[numbers.length >> 1]! }])
  await driver.close()
}
