import { once } from 'node:events'
import type { CsvList } from '../client/index.ts'
import { given } from './arguments.ts'
import type { Remote } from './remote.ts'

export interface ListOptions {
  readonly csv?: true
  readonly limit?: number
  readonly cursor?: string
}

/** Rows of a page where nobody says how many; a CSV has them all. */
const PAGE = 100

/**
 * A list as a table or as JSON, or with `--csv` as the node writes it: line by line, as fast as the output takes it.
 * @param options what was typed, `csv` among it
 */
export async function listOrCsv<T>(
  { client, show }: Remote,
  {
    list,
    options,
    page,
    text,
  }: {
    readonly list: CsvList
    readonly options: ListOptions
    readonly page: (query: Record<string, never>) => Promise<{ readonly items: readonly T[] }>
    readonly text: (items: readonly T[]) => string
  },
): Promise<void> {
  const { csv, ...query } = options
  if (!csv) {
    const found = await page(given({ limit: PAGE, ...query }) as Record<string, never>)
    return show(found, () => text(found.items))
  }
  const response = await client.csv(list, given(query))
  for await (const chunk of response.body ?? []) {
    if (!process.stdout.write(chunk as Uint8Array)) await once(process.stdout, 'drain')
  }
}
