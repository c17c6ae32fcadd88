import { once } from 'node:events'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { nodeId as asNodeId } from '../../src/base/ids.ts'
import { pack } from '../../src/base/pack.ts'
import { createEmbeddedChain, type EmbeddedChain } from '../../src/chain/embedded/chain.ts'
import { rpcHandler } from '../../src/chain/embedded/rpc.ts'
import { backupPath, sealBackup, staticBackup, writeBackup } from '../../src/node/backup.ts'
import type { NodeConfig } from '../../src/node/config.ts'
import { loadOrCreateSeed } from '../../src/node/seed.ts'
import { placesOf } from '../../src/node/services/node.ts'
import { type RunningNode, sealingLog, startNode } from '../../src/node/start.ts'
import { checkJournal } from '../../src/store/journal.ts'
import { LevelDriver } from '../../src/store/level.ts'
import { keys, SCHEMA_VERSION } from '../../src/store/schema.ts'
import type { Op } from '../../src/store/types.ts'
import { backupKey } from '../../src/wallet/keys.ts'
import { quietConfig } from './quietConfig.ts'

let dataDir: string
const running: RunningNode[] = []
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'fulmen-start-'))
})
afterEach(async () => {
  vi.useRealTimers()
  for (const node of running.splice(0)) await node.stop()
  await rm(dataDir, { recursive: true, force: true })
})

const start = async (more?: Partial<NodeConfig>): Promise<RunningNode> => {
  const node = await startNode(quietConfig(dataDir, more), { onFatal: () => {} })
  running.push(node)
  return node
}
const stop = async (): Promise<void> => {
  await running.pop()!.stop()
}
const write = async (ops: readonly Op[]): Promise<void> => {
  const driver = await LevelDriver.open(join(dataDir, 'db'))
  await driver.batch(ops)
  await driver.close()
}

/** A chain behind the JSON-RPC of a Bitcoin node, on a port of its own. */
async function serve(chain: EmbeddedChain, onCall: (method: string) => void = () => {}): Promise<HttpServer> {
  const handler = rpcHandler(chain)
  const server = createHttpServer((request, response) => {
    const answer = async (): Promise<string> => {
      const { id, method, params } = (await json(request)) as { id: number; method: string; params: unknown[] }
      onCall(method)
      return JSON.stringify({ result: await handler(method, params), error: null, id })
    }
    void answer().then((text) => response.end(text))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

describe('a data directory', () => {
  it('is for one process at a time: the second is refused, the first goes on', async () => {
    const first = await start()
    await expect(start()).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    expect((await first.service.newAddress()).address).toMatch(/^bcrt1/)
  })

  it('that a newer program wrote is refused and left as it is', async () => {
    await start()
    await stop()
    await write([{ key: keys.schema, value: pack(SCHEMA_VERSION + 1) }])
    await expect(start()).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
    await write([{ key: keys.schema, value: pack(SCHEMA_VERSION) }])
    await start()
  })

  it('belongs to one seed and one network', async () => {
    await start()
    await stop()
    await rm(join(dataDir, 'seed'))
    await expect(start()).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
  })

  it('is the same node with the same wallet after a stop', async () => {
    const first = await start()
    const { address } = await first.service.newAddress()
    await first.service.mine(1, address)
    const [info, wallet] = [first.service.info(), await first.service.wallet()]
    await stop()
    const second = await start()
    expect(second.service.info()).toMatchObject({ nodeId: info.nodeId, blockHeight: 1 })
    expect(await second.service.wallet()).toEqual(wallet)
    expect((await second.service.newAddress()).address).not.toBe(address)
  })
})

describe('a database of before there were checksums', () => {
  it('says at the start that it gets them, and when it has them', async () => {
    await start()
    await stop()
    const driver = await LevelDriver.open(join(dataDir, 'db'))
    const bare: Op[] = []
    for await (const [key, value] of driver.entries({})) bare.push({ key, value: value.subarray(0, -4) })
    await driver.batch([...bare, { key: keys.schema, value: pack(2) }])
    await driver.close()
    const lines: { level: number; msg: string; values?: number }[] = []
    const log = { write: (line: string) => void lines.push(JSON.parse(line)) }
    for (let starts = 0; starts < 2; starts++) {
      running.push(await startNode(quietConfig(dataDir, { logLevel: 'info' }), { onFatal: () => {}, log }))
      await stop()
    }
    const said = lines.filter(({ msg }) => msg.includes('checksum'))
    const all = bare.filter(({ key }) => key !== keys.schema).length
    expect(said).toMatchObject([
      { level: 30, msg: expect.stringContaining('the node answers nobody') },
      { level: 30, msg: 'the database has its checksums', values: all },
    ])
  })

  it('says every few seconds how far it has come', () => {
    const lines: object[] = []
    let now = 0
    const tell = sealingLog({ info: (...line: unknown[]) => void lines.push(line) }, () => now)
    for (let values = 0; values <= 13_000; values += 1_000, now += 1_000) tell(values, values === 13_000)
    expect(lines).toMatchObject([
      [expect.stringContaining('gets a checksum')],
      [{ values: 5_000, seconds: 5 }, expect.stringContaining('still')],
      [{ values: 10_000, seconds: 10 }, expect.stringContaining('still')],
      [{ values: 13_000, seconds: 13 }, 'the database has its checksums'],
    ])
  })
})

describe('a database that is older than what peers were told', () => {
  /** What the start says of it. */
  const saidAtStart = async (): Promise<readonly string[]> => {
    const lines: { level: number; msg: string }[] = []
    const log = { write: (line: string) => void lines.push(JSON.parse(line)) }
    running.push(await startNode(quietConfig(dataDir, { logLevel: 'info' }), { onFatal: () => {}, log }))
    return lines.filter(({ level }) => level >= 50).map(({ msg }) => msg)
  }

  it('is told by a newer backup: the start says in one sentence what to do, and goes on', async () => {
    const { service } = await start()
    const { nodeId } = service.info()
    await stop()
    const { master } = await loadOrCreateSeed(dataDir, 'regtest', null, false)
    const backup = staticBackup({ nodeId: asNodeId(nodeId), journal: 1_000, channels: [] })
    await writeBackup(dataDir, sealBackup(backup, backupKey(master)))
    const said = await saidAtStart()
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(
      /older than the channel backup: if the newer database is anywhere, .*put it back; otherwise/,
    )
    expect(said[0]).toMatch(/keep the peers reachable/)
    expect(running[0]!.service.info().nodeId).toBe(nodeId)
  })

  it('is told by a gap in its journal: the start says what is waited for', async () => {
    const { service } = await start()
    for (let n = 0; n < 3; n++) await service.newAddress()
    await stop()
    const driver = await LevelDriver.open(join(dataDir, 'db'))
    const { last } = await checkJournal(driver)
    await driver.close()
    await write([{ key: keys.journal(last - 1) }])
    expect(await saidAtStart()).toEqual([
      expect.stringMatching(/lost writes: .*check the disk.*keep the peers reachable/),
    ])
  })
})

describe('a Bitcoin node that is starting itself', () => {
  it('is waited for', async () => {
    const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
    chain.mine(3, Uint8Array.of(0x51))
    const handler = rpcHandler(chain)
    let asked = 0
    const server = createHttpServer((request, response) => {
      const answer = async (): Promise<string> => {
        const { id, method, params } = (await json(request)) as { id: number; method: string; params: unknown[] }
        const error = { code: -28, message: 'Loading block index…' }
        const said =
          asked++ < 2 ? { result: null, error, id } : { result: await handler(method, params), error: null, id }
        return JSON.stringify(said)
      }
      void answer().then(
        (text) => response.end(text),
        (e: unknown) => response.writeHead(500).end(`${e}`),
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const node = await start({ chain: { kind: 'bitcoind', url: `http://u:p@127.0.0.1:${port}` } })
    expect(node.service.info().blockHeight).toBe(3)
    expect(asked).toBeGreaterThan(2)
    await stop()
    server.closeAllConnections()
    server.close()
    chain.close()
  })
})

describe('a Bitcoin node of another network', () => {
  it('binds the directory to none: it starts with the network that was meant', async () => {
    const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
    const server = await serve(chain)
    const url = `http://u:p@127.0.0.1:${(server.address() as AddressInfo).port}`
    const bitcoind = { kind: 'bitcoind', url } as const
    await expect(start({ network: 'signet', chain: bitcoind })).rejects.toMatchObject({ code: 'WRONG_NETWORK' })
    const node = await start({ chain: bitcoind })
    expect((await node.service.newAddress()).address).toMatch(/^bcrt1/)
    await stop()
    server.closeAllConnections()
    server.close()
    chain.close()
  })
})

describe('a Bitcoin node that goes away', () => {
  it('is told of to anybody, and where it is to the operator alone', async () => {
    const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
    const server = await serve(chain)
    const { port } = server.address() as AddressInfo
    const { service } = await start({ chain: { kind: 'bitcoind', url: `http://u:p@127.0.0.1:${port}` } })
    await vi.waitFor(() => expect(service.ready()).toEqual({ ready: true, reasons: [] }))
    server.close()
    server.closeAllConnections()
    await vi.waitFor(() => expect(service.ready().ready).toBe(false))
    const { reasons, details } = service.ready()
    expect(reasons).toEqual(['the Bitcoin node cannot be reached'])
    expect(details).toEqual([expect.stringContaining(`127.0.0.1:${port}`)])
    chain.close()
  })
})

describe('a start that cannot be', () => {
  const isThere = (name: string): Promise<boolean> =>
    access(join(dataDir, name)).then(
      () => true,
      () => false,
    )

  it('ends for good when the port for peers is taken: no timer keeps the process', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
    other.close()
    await start()
  })

  it('leaves no seed that the next one would take for an old one, and look for in the whole chain', async () => {
    const chain = createEmbeddedChain({ clock: () => Math.floor(Date.now() / 1000) })
    const asked: string[] = []
    const server = await serve(chain, (method) => asked.push(method))
    const { port } = server.address() as AddressInfo
    const bitcoind = { kind: 'bitcoind', url: `http://u:p@127.0.0.1:${port}` } as const
    await expect(start({ network: 'signet', chain: bitcoind })).rejects.toMatchObject({ code: 'WRONG_NETWORK' })
    expect(await isThere('seed')).toBe(false)
    const taken = { host: '127.0.0.1', port }
    await expect(start({ chain: bitcoind, listen: taken })).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await start({ chain: bitcoind })
    expect(asked).toContain('getblockhash')
    expect(asked).not.toContain('scantxoutset')
    await stop()
    server.closeAllConnections()
    server.close()
    chain.close()
  })

  it.skipIf(process.platform !== 'linux')('says where no data directory can be made', async () => {
    const within = startNode(quietConfig('/proc/fulmen/node'), { onFatal: () => {} })
    await expect(within).rejects.toMatchObject({ code: 'STORE_UNREADABLE', message: /cannot be made .*--data-dir/ })
  })

  it('has given back the room that was kept for it before the database is opened', async () => {
    await writeFile(join(dataDir, 'db'), 'no directory')
    await expect(start()).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    expect(await isThere('ballast')).toBe(true)
  })

  it('makes no new seed where a node has been', async () => {
    await start()
    await stop()
    await rm(join(dataDir, 'seed'))
    await expect(start()).rejects.toThrow('fulmen seed restore')
    expect(await isThere('seed')).toBe(false)
  })

  it('makes none beside a backup either: nothing would be restored from it', async () => {
    await writeFile(backupPath(dataDir), new Uint8Array(100))
    await expect(start()).rejects.toThrow('fulmen seed restore')
    expect(await isThere('seed')).toBe(false)
  })

  it('does not begin without the channels of a backup that it cannot read', async () => {
    await start()
    await stop()
    await rm(join(dataDir, 'db'), { recursive: true })
    await writeFile(backupPath(dataDir), new Uint8Array(100))
    await expect(start()).rejects.toThrow('put a whole copy in its place')
    await rm(backupPath(dataDir))
    await start()
  })
})

describe('the addresses of a node', () => {
  it('are those that it announces, else where it listens, unless that is everywhere', () => {
    const announced = [
      { host: 'node.example', port: 9735 },
      { host: '192.0.2.1', port: 1 },
    ]
    expect(placesOf(announced, '0.0.0.0:9735')).toEqual(['node.example:9735', '192.0.2.1:1'])
    expect(placesOf([], '127.0.0.1:9735')).toEqual(['127.0.0.1:9735'])
    for (const listen of [null, '0.0.0.0:9735', ':::9735', '[::]:9735']) expect(placesOf([], listen)).toEqual([])
  })
})

describe('the log of a node', () => {
  it('has its last lines at hand, as they were written', async () => {
    const { service } = await start({ logLevel: 'warn' })
    const { items } = service.logs.recent.page({ limit: 10 }, {})
    expect(items.map(({ level, part, message }) => [level, part, message])).toContainEqual([
      'warn',
      'node',
      'the seed is not encrypted: whoever reads the data directory has the coins',
    ])
  })
})
