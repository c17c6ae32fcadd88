import { Readable } from 'node:stream'

export type Cell = string | number | boolean | null

/**
 * A value as a field of RFC 4180. Text that a spreadsheet would run as a formula is written as text; our own numbers are numbers,
 * negative ones too.
 */
export function csvField(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell !== 'string') return String(cell)
  const text = /^[\s]*[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const csvLine = (cells: readonly Cell[]): string => `${cells.map(csvField).join(',')}\r\n`

/** A list as CSV: the heading, then a line for each item, made while it is read. @param columns names of fields, in their order */
export function csvStream<T extends object>(columns: readonly string[], items: AsyncIterable<T>): Readable {
  async function* lines(): AsyncGenerator<string> {
    yield csvLine(columns)
    for await (const item of items) yield csvLine(columns.map((name) => (item as Record<string, Cell>)[name] ?? null))
  }
  return Readable.from(lines())
}
