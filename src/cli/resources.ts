import { once } from 'node:events'
import type { Command } from 'commander'
import type { CsvList, FulmenClient } from '../client/index.ts'
import { given, integer } from './arguments.ts'
import { remote } from './remote.ts'

/** Rows of a page where nobody says how many; a CSV has them all. */
const PAGE = 100

/** Filters by time of a list. */
export const timeOptions = (command: Command): Command =>
  command
    .option('--from <time>', 'from a time (RFC 3339) or a day in UTC on')
    .option('--to <time>', 'before a time, or up to the end of a day')

/** Filters of a list of what API keys asked for. */
export const recordOptions = (command: Command): Command =>
  timeOptions(command.option('--key-id <id>', 'only what this API key asked for'))

interface Listed<T> {
  readonly name?: string
  readonly about: string
  /** What was typed is the query: limit, cursor, and the options that are added to the command as filters. */
  readonly page: (client: FulmenClient, query: never) => Promise<{ readonly items: readonly T[] }>
  readonly table: (items: readonly T[]) => string
}

/** A command that shows one page of a list, as a table or as JSON. @returns it, to take options that are filters */
export function listCommand<T>(parent: Command, { name = 'list', about, page, table }: Listed<T>): Command {
  return parent
    .command(name)
    .description(about)
    .option('--limit <n>', 'at most so many', integer, PAGE)
    .option('--cursor <cursor>', 'from the page before')
    .action(async (options: object, command: Command) => {
      const { client, show } = remote(command)
      const found = await page(client, given(options) as never)
      show(found, () => table(found.items))
    })
}

/** The same, newest first, and with `--csv` all of it as the node writes it: line by line, as fast as the output takes it. */
export function csvListCommand<T>(
  parent: Command,
  { name = 'list', about, page, table, csv: list }: Listed<T> & { readonly csv: CsvList },
): Command {
  return parent
    .command(name)
    .description(`${about}, newest first`)
    .option('--limit <n>', 'at most so many', integer)
    .option('--cursor <cursor>', 'from the page before, or the first column of the last line')
    .option('--csv', 'print all as CSV')
    .action(async ({ csv, ...query }: { readonly csv?: true }, command: Command) => {
      const { client, show } = remote(command)
      if (!csv) {
        const found = await page(client, given({ limit: PAGE, ...query }) as never)
        show(found, () => table(found.items))
        return
      }
      const response = await client.csv(list, given(query))
      for await (const chunk of response.body ?? []) {
        if (!process.stdout.write(chunk as Uint8Array)) await once(process.stdout, 'drain')
      }
    })
}

interface One<T> {
  readonly about: string
  /** As commander takes it; `<id>` when left out. */
  readonly argument?: readonly [name: string, description?: string]
  readonly call: (client: FulmenClient, id: string) => Promise<T>
  readonly text: (answer: T) => string
}

/** A command about one thing by its id: shows what the node answers, in words or as JSON. */
export function oneCommand<T>(
  parent: Command,
  name: string,
  { about, argument = ['<id>'], call, text }: One<T>,
): Command {
  return parent
    .command(name)
    .description(about)
    .argument(...argument)
    .action(async (id: string, _options: object, command: Command) => {
      const { client, show } = remote(command)
      const answer = await call(client, id)
      show(answer, () => text(answer))
    })
}
