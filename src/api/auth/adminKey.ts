import { join } from 'node:path'
import { writeFileAtomic } from '../../store/files.ts'
import { NOBODY } from './audit.ts'
import { stopVersions } from './keyChanges.ts'
import type { KeyRing } from './keys.ts'

export interface AdminKey {
  /** Where the key is written, mode 0600. */
  readonly path: string
  /** The bearer value, only at the start that made it. */
  readonly created: string | null
}

export const adminKeyPath = (dataDir: string): string => join(dataDir, 'admin.key')

/** The first start of a node makes its admin key and writes it to `admin.key` in the data directory before it counts. */
export async function ensureAdminKey(ring: KeyRing, dataDir: string): Promise<AdminKey> {
  const path = adminKeyPath(dataDir)
  if (ring.size > 0) return { path, created: null }
  return { path, created: await ring.create('admin', ['*'], (bearer) => writeFileAtomic(path, `${bearer}\n`)) }
}

/**
 * For whoever has the machine and no key: a new admin key in `admin.key`.
 * @param stopOthers whether all other keys stop
 */
export async function resetAdminKey(ring: KeyRing, dataDir: string, stopOthers: boolean): Promise<AdminKey> {
  const path = adminKeyPath(dataDir)
  const others = ring.entries().map((entry) => entry.record)
  const created = await ring.create('admin (reset)', ['*'], (bearer) => writeFileAtomic(path, `${bearer}\n`))
  await ring.change(() => ({
    records: stopOthers ? others.map((record) => stopVersions(record, ring.now())) : [],
    facts: [{ ...NOBODY, action: 'keys.reset', detail: { stopOthers } }],
    ...(stopOthers && { endsTokens: true }),
  }))
  return { path, created }
}
