import { createServer, type IncomingMessage } from 'node:http'

/** What a bitcoind answers, changed on its way. */
export interface RpcFront {
  /** http://user:password@host:port */
  readonly url: string
  /** Results by method, in place of bitcoind's own or made of them. */
  readonly changes: Map<string, (result: unknown) => unknown>
  close(): Promise<void>
}

interface Call {
  readonly id: unknown
  readonly method: string
}
interface Answer {
  readonly id: unknown
  readonly result: unknown
}

const bodyOf = async (message: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
const listed = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T])

/** A JSON-RPC server on loopback that passes calls on to this bitcoind. */
export async function startRpcFront(bitcoind: string): Promise<RpcFront> {
  const { username, password, origin } = new URL(bitcoind)
  const authorization = `Basic ${btoa(`${username}:${password}`)}`
  const changes: RpcFront['changes'] = new Map()

  const change = (calls: string, answers: string): string => {
    const asked = listed(JSON.parse(calls) as Call | readonly Call[]).filter((c) => changes.has(c.method))
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
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
