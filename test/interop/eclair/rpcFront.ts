import { createServer, type IncomingMessage } from 'node:http'

/** What a bitcoind answers, changed on its way. */
export interface RpcFront {
  /** http://user:password@host:port */
  readonly url: string
  /** Results by method, in place of bitcoind's own or made of them. */
  readonly changes: Map<string, (result: unknown) => unknown>
  /** What the mempool said of transactions that it did not take. */
  readonly refusals: string[]
  close(): Promise<void>
}

interface Call {
  readonly id: unknown
  readonly method: string
}
interface Answer {
  readonly id: unknown
  readonly result: unknown
  readonly error?: { readonly message: string } | null
}
interface PackageResult {
  readonly 'tx-results': Readonly<Record<string, { readonly error?: string }>>
}

const bodyOf = async (message: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
const listed = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T])

const refusalsIn = ({ method }: Call, { result, error }: Answer): readonly string[] => {
  if (method === 'sendrawtransaction') return error ? [error.message] : []
  if (method !== 'submitpackage' || !result) return []
  return Object.values((result as PackageResult)['tx-results']).flatMap((r) => r.error ?? [])
}

/** A JSON-RPC server on loopback that passes calls on to this bitcoind. */
export async function startRpcFront(bitcoind: string): Promise<RpcFront> {
  const { username, password, origin } = new URL(bitcoind)
  const authorization = `Basic ${btoa(`${username}:${password}`)}`
  const changes: RpcFront['changes'] = new Map()
  const refusals: string[] = []

  const look = (asked: readonly Call[], answers: string): void => {
    const sent = asked.filter((c) => c.method === 'sendrawtransaction' || c.method === 'submitpackage')
    if (sent.length === 0) return
    const given = listed(JSON.parse(answers) as Answer | readonly Answer[])
    for (const call of sent)
      for (const answer of given.filter((a) => a.id === call.id)) refusals.push(...refusalsIn(call, answer))
  }
  const change = (calls: string, answers: string): string => {
    const all = listed(JSON.parse(calls) as Call | readonly Call[])
    look(all, answers)
    const asked = all.filter((c) => changes.has(c.method))
    if (asked.length === 0) return answers
    const given = JSON.parse(answers) as Answer | readonly Answer[]
    const changed = listed(given).map((a) => {
      const call = asked.find((c) => c.id === a.id)
      return call ? { ...a, result: changes.get(call.method)!(a.result) } : a
    })
    return JSON.stringify(Array.isArray(given) ? changed : changed[0])
  }
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    try {
      const answer = await fetch(`${origin}${request.url}`, { method: 'POST', body, headers: { authorization } })
      const text = change(body, await answer.text())
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
    } catch (e) {
      response.writeHead(502).end(String(e))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://${username}:${password}@127.0.0.1:${port}`,
    changes,
    refusals,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
