import type { Event } from '../api/schemas.ts'
import { ConnectionError } from './errors.ts'
import { pause } from './http.ts'

export interface EventOptions {
  /** Names, or `payment.*` for all of a kind. All when absent. */
  readonly types?: readonly string[]
  /** Id of the last event seen; from now on when absent. */
  readonly since?: number
  /** In its place a time (RFC 3339, or a day): first what happened from then on. */
  readonly from?: string
  /** A time, or a day, that has passed: what happened before then, and no more. */
  readonly to?: string
  readonly signal?: AbortSignal
}

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

/** A stream that begins after the event of `since`, or with `from`. */
type OpenStream = (
  query: Readonly<Record<string, string | number | undefined>>,
  signal: AbortSignal | undefined,
) => Promise<Response>

const RECONNECT_MS = 500

/**
 * Events as they happen, over as many streams as it takes.
 * @param mayPass whether to go on after an error
 */
export async function* followEvents(
  open: OpenStream,
  { types, since, from, to, signal }: EventOptions,
  mayPass: (error: unknown) => boolean,
): AsyncGenerator<Event> {
  let last = since
  while (!signal?.aborted) {
    try {
      const query = { types: types?.join(','), since: last, to, ...(last === undefined && { from }) }
      const response = await open(query, signal)
      if (response.status === 204) return
      for await (const item of serverSentEvents(response.body as ReadableStream<Uint8Array>)) {
        last = item.id ?? last
        if (item.event?.type === 'events.end') return
        if (item.event) yield item.event
      }
    } catch (error) {
      if (signal?.aborted) return
      if (!mayPass(error)) throw error
    }
    await pause(RECONNECT_MS, signal).catch(() => {})
  }
}
