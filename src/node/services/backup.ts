import { readFile } from 'node:fs/promises'
import { channelOf } from '../../channel/describe.ts'
import { backupKey } from '../../wallet/keys.ts'
import { BackupError, backupPath, openBackup } from '../backup.ts'
import { ServiceError } from '../errors.ts'
import type { Node } from '../node.ts'
import type { BackupCheckView, NodeService } from '../service.ts'

export type BackupService = Pick<NodeService, 'backup' | 'verifyBackup'>

/** The static channel backup. */
export function backupService(node: Node): BackupService {
  return {
    backup: async () => {
      try {
        return new Uint8Array(await readFile(backupPath(node.resources.config.dataDir)))
      } catch (e) {
        throw new ServiceError('NOT_FOUND', 'there is no backup yet: it is written with the first channel', {
          cause: e,
        })
      }
    },
    verifyBackup: async (file) => check(node, file),
  }
}

function check(node: Node, file: Uint8Array): BackupCheckView {
  try {
    const backup = openBackup(file, backupKey(node.resources.master))
    const has = new Set(backup.channels.map((c) => c.channelId))
    const open = node.channels.all().flatMap(({ state }) => {
      const channelId = state.tag === 'closed' ? undefined : channelOf(state)?.params.channelId
      return channelId === undefined ? [] : [channelId]
    })
    const missing = open.filter((id) => !has.has(id))
    return { valid: true, complete: missing.length === 0, channels: has.size, missing, problem: null }
  } catch (e) {
    if (!(e instanceof BackupError)) throw e
    return { valid: false, complete: false, channels: 0, missing: [], problem: e.message }
  }
}
