import { join } from 'node:path'
import { writeFileAtomic } from '../../store/files.ts'
import type { KeyRing } from './keys.ts'

export interface AdminKey {
  /** Where the key is written, mode 0600. */
  readonly path: string
  /** The bearer value, only at the start that made it. */
  readonly created: string | null
}

/** The first start of a node makes its admin key and writes it to `admin.key` in the data directory before it counts. */
export async function ensureAdminKey(ring: KeyRing, dataDir: string): Promise<AdminKey> {
  const path = join(dataDir, 'admin.key')
  if (ring.size > 0) return { path, created: null }
  return { path, created: await ring.create('admin', ['*'], (bearer) => writeFileAtomic(path, `${bearer}\n`)) }
}
