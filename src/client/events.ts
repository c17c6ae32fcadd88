import type { Event } from '../api/schemas.ts'

export interface StreamItem {
  /** Id to resume after. */
  readonly id: number | null
  /** null when the server only says where the stream stands, or that it lives. */
  readonly event: Event | null
}

/** A text/event-stream body, item by item. @source WHATWG HTML §9.2 (server-sent events), what our server uses of it */
export async function* serverSentEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamItem> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const lines = block.split('\n')
        const id = lines.find((line) => line.startsWith('id: '))
        const data = lines.find((line) => line.startsWith('data: '))
        yield { id: id ? Number(id.slice(4)) : null, event: data ? (JSON.parse(data.slice(6)) as Event) : null }
      }
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
