import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ApiError } from '../../client/errors.ts'
import { FulmenClient } from '../../client/index.ts'
import { writeFileAtomic } from '../../store/files.ts'

export interface ScrapedNode {
  readonly name: string
  readonly url: string
  /** With a key that may make keys. */
  readonly client: FulmenClient
}

/** Prometheus reads it as another user; it opens nothing but metrics. */
const FOR_ALL = 0o644

/**
 * Sees that `directory/NAME.key` holds a key of each node that works for its metrics, and for nothing else.
 * @returns the nodes that got one now
 */
export async function keepScrapeKeys(nodes: readonly ScrapedNode[], directory: string): Promise<string[]> {
  const keyed: string[] = []
  for (const { name, url, client } of nodes) {
    const path = join(directory, `${name}.key`)
    if (await works(url, await readFile(path, 'utf8').catch(() => null))) continue
    const { secret } = await client.keys.create({ name: 'prometheus', scopes: ['metrics:read'] })
    await writeFileAtomic(path, secret, FOR_ALL)
    keyed.push(name)
  }
  return keyed
}

/** A node that does not answer is no reason for another key. */
async function works(url: string, key: string | null): Promise<boolean> {
  if (key === null) return false
  try {
    await new FulmenClient({ url, key: key.trim() }).metrics()
    return true
  } catch (e) {
    if (e instanceof ApiError && (e.status === 401 || e.status === 403)) return false
    throw e
  }
}
