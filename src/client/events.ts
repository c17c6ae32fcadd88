import type { Event } from '../api/schemas.ts'
import { ConnectionError } from './errors.ts'

export interface StreamItem {
  /** Id to resume after. */
  readonly id: number | null
  /** null when the server only says where the stream stands, or that it lives. */
  readonly event: Event | null
}

/** The node writes every 15 seconds: a connection that brings nothing for so long is dead, and may never say so by itself. */
const SILENT_MS = 60_000

/**
 * A text/event-stream body, item by item.
 * @throws ConnectionError when it falls silent; what the body throws
 * @source WHATWG HTML §9.2 (server-sent events), what our server uses of it
 */
export async function* serverSentEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamItem> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read())
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

async function unlessSilent<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    const error = new ConnectionError('the stream fell silent: the node, or the way to it, is gone')
    timer = setTimeout(() => reject(error), SILENT_MS)
  })
  try {
    return await Promise.race([reading, silence])
  } finally {
    clearTimeout(timer)
  }
}
