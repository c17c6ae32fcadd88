import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly event: { readonly id: number | null; readonly type: string; readonly data: Record<string, unknown> }
}

/** An HTTP server that takes webhooks, and answers as the test says. */
export class Receiver {
  readonly got: Received[] = []
  /** A status, or what to do with the answer by hand. */
  answer: number | ((response: ServerResponse) => void) = 204
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @param port of one that was closed before */
  static async open(port = 0): Promise<Receiver> {
    const server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      request.on('end', () => {
        receiver.got.push({ path: request.url ?? '', headers: request.headers, body, event: JSON.parse(body) })
        const { answer } = receiver
        if (typeof answer === 'number') response.writeHead(answer).end()
        else answer(response)
      })
    })
    const receiver = new Receiver(server)
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hooks`
  }

  get ids(): (number | null)[] {
    return this.got.map(({ event }) => event.id)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
