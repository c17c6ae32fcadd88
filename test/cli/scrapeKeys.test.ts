import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { keepScrapeKeys } from '../../src/cli/demo/scrapeKeys.ts'
import { FulmenClient } from '../../src/client/index.ts'
import { testApi } from '../api/harness.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean()
})

async function nodeAndDirectory() {
  const directory = await mkdtemp(join(tmpdir(), 'fulmen-scrape-'))
  cleanups.push(() => rm(directory, { recursive: true }))
  const { app, bearer } = await testApi()
  cleanups.push(() => app.close())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const client = new FulmenClient({ url, key: bearer })
  return { directory, url, client, node: { name: 'alice', url, client } }
}

describe("the set-up step's keys for Prometheus", () => {
  it('are made once, open the metrics and nothing else, and are replaced when they work no more', async () => {
    const { directory, url, client, node } = await nodeAndDirectory()
    const path = join(directory, 'alice.key')
    expect(await keepScrapeKeys([node], directory)).toEqual(['alice'])
    const first = await readFile(path, 'utf8')
    expect(await keepScrapeKeys([node], directory)).toEqual([])
    expect(await readFile(path, 'utf8')).toBe(first)
    expect(await readdir(directory)).toEqual(['alice.key'])
    expect((await stat(path)).mode & 0o777).toBe(0o644)

    const prometheus = new FulmenClient({ url, key: first })
    expect(await prometheus.metrics()).toContain('fulmen_')
    expect((await prometheus.keys.self()).scopes).toEqual(['metrics:read'])
    await expect(prometheus.node()).rejects.toMatchObject({ status: 403 })

    await client.keys.revoke((await prometheus.keys.self()).id)
    expect(await keepScrapeKeys([node], directory)).toEqual(['alice'])
    expect(await new FulmenClient({ url, key: await readFile(path, 'utf8') }).metrics()).toContain('fulmen_')
  })

  it('are not made anew because a node does not answer', async () => {
    const { directory, client, node } = await nodeAndDirectory()
    await keepScrapeKeys([node], directory)
    const before = await readFile(join(directory, 'alice.key'), 'utf8')
    const silent = { name: 'alice', url: 'http://127.0.0.1:1', client }
    await expect(keepScrapeKeys([silent], directory)).rejects.toMatchObject({ name: 'ConnectionError' })
    expect(await readFile(join(directory, 'alice.key'), 'utf8')).toBe(before)
  })
})
