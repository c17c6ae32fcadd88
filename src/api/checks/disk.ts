import { stat } from 'node:fs/promises'
import { BALLAST_BYTES, ballastPath, freeSpace, LOW_BYTES } from '../../store/files.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const MIB = 1024 * 1024
const DISK = { code: 'DISK_LOW', about: null } as const

/** Room for what must be written. @param free bytes, for tests */
export async function disk(dataDir: string, free?: number): Promise<readonly Finding[]> {
  const bytes = free ?? (await freeSpace(dataDir))
  const left = `${Math.floor(bytes / MIB)} MiB are free`
  const cure = `free some space on the disk of ${dataDir}`
  if (bytes < LOW_BYTES)
    return [problem('disk', `${left}: the node refuses new channels and payments to save the old ones`, cure, DISK)]
  const held = await stat(ballastPath(dataDir)).catch(() => null)
  if (held && held.size < BALLAST_BYTES)
    return [warning('disk', `${left}, and the reserve for an emergency is not there`, cure, DISK)]
  if (bytes < 10 * LOW_BYTES)
    return [warning('disk', `${left}: below 64 MiB the node refuses new payments`, cure, DISK)]
  return [ok('disk', left)]
}
