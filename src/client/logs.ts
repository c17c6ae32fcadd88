import type { LogLine, LogPage, LogQuery } from '../api/operatorSchemas.ts'
import { pause } from './http.ts'

export interface FollowLogOptions extends Pick<LogQuery, 'level' | 'part' | 'since'> {
  /** Lines from before, when `since` is absent. Default 50. */
  readonly limit?: number
  /** How often the node is asked. Default a second. */
  readonly everyMs?: number
  readonly signal?: AbortSignal
}

const FOLLOW_MS = 1_000
const MAX_PAGE = 500

/** What stands in the place of lines that the node let go before they were asked for. @param lostTo id of the newest of them */
export const lostLines = (lostTo: number): LogLine => ({
  id: lostTo,
  at: new Date(lostTo / 1_000).toISOString(),
  level: 'warn',
  part: 'node',
  message: 'lines up to here are missing: the node keeps its last thousands, and more came between two looks',
  fields: {},
})

type Look = (query: LogQuery) => Promise<LogPage>

/**
 * Lines as they are written, oldest first, each once; where the node kept some of them no more, a line that says so.
 * @param mayPass whether to look again after an error
 */
export async function* followLogs(
  look: Look,
  { limit = 50, everyMs = FOLLOW_MS, signal, since: start, ...filter }: FollowLogOptions,
  mayPass: (error: unknown) => boolean,
): AsyncGenerator<LogLine> {
  let since = start
  while (!signal?.aborted) {
    try {
      const { items, newestId, lostTo } =
        since === undefined ? await look({ ...filter, limit }) : await whole(look, { ...filter, since })
      // Not the last line shown: of those that the filter leaves out, none is missed.
      since = Math.max(since ?? 0, newestId)
      if (lostTo !== null) yield lostLines(lostTo)
      yield* items.toReversed()
    } catch (error) {
      if (!mayPass(error)) throw error
    }
    await pause(everyMs, signal).catch(() => {})
  }
}

/** Every line after `since`, newest first; what came after the first page was asked for is left to the next look. */
async function whole(look: Look, query: LogQuery): Promise<LogPage> {
  const first = await look({ ...query, limit: MAX_PAGE })
  const items = [...first.items]
  let { nextCursor, lostTo } = first
  while (nextCursor !== null) {
    const page = await look({ ...query, limit: MAX_PAGE, cursor: nextCursor })
    items.push(...page.items)
    // While the pages were asked for, the oldest lines went on to be let go.
    ;({ nextCursor, lostTo } = page)
  }
  return { ...first, items, nextCursor, lostTo }
}
