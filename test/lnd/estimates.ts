import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RealNode } from '../e2e/realNode.ts'

/** A bitcoind with fee estimates: on regtest there is no market that it could learn them from. */
export interface Estimates {
  /** For a node's configuration. */
  readonly url: string
  /** For every target, sat per 1,000 weight units; null: none, as on a real regtest node. */
  feerate: number | null
  /** What the Bitcoin node said of transactions that it did not take. */
  readonly refusals: string[]
  close(): void
}

const read = async (stream: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

/** Of the answer to `sendrawtransaction` or `submitpackage`. */
function refusalsIn(answer: Buffer): readonly string[] {
  const { result, error } = JSON.parse(answer.toString())
  if (error) return [error.message]
  if (typeof result === 'string' || result.package_msg === 'success') return []
  const errors = Object.values<{ error?: string }>(result['tx-results']).flatMap((r) => r.error ?? [])
  return errors.length > 0 ? errors : [result.package_msg]
}

/** Passes every call on to the Bitcoin node, but for the one about fees. */
export async function startEstimates(bitcoind: RealNode): Promise<Estimates> {
  const target = new URL(bitcoind.url)
  const server = createServer(async (req, res) => {
    const body = await read(req)
    const { method, id } = JSON.parse(body.toString())
    if (method === 'estimatesmartfee' && estimates.feerate !== null) {
      const result = { feerate: (estimates.feerate * 4) / 1e8, blocks: 2 }
      res.end(JSON.stringify({ result, error: null, id }))
      return
    }
    const { hostname, port, username, password } = target
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    const call = { hostname, port, auth: `${username}:${password}`, method: 'POST', headers, agent: false } as const
    const out = request(call, async (answer) => {
      const text = await read(answer).catch(() => null)
      if (text === null) return void res.destroy()
      if (method === 'sendrawtransaction' || method === 'submitpackage') estimates.refusals.push(...refusalsIn(text))
      res.writeHead(answer.statusCode!, { 'content-type': 'application/json' })
      res.end(text)
    })
    out.on('error', () => res.destroy())
    res.on('close', () => out.destroy())
    out.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const estimates: Estimates = {
    url: `http://u:p@127.0.0.1:${port}`,
    feerate: null,
    refusals: [],
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return estimates
}
