import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
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
  return { path, created: await ring.create('admin', ['*'], (bearer) => writeSecret(path, `${bearer}\n`)) }
}

/** Readable by the owner alone, and whole or not at all. */
async function writeSecret(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
