import { printable } from '../base/bytes.ts'

/** Rows of text under a heading; columns of numbers lie right. */
export function table(headings: readonly string[], rows: readonly (readonly unknown[])[]): string {
  if (rows.length === 0) return 'none'
  const cells = rows.map((row) => row.map((cell) => cellText(cell)))
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const isNumber = headings.map((_, i) => rows.every((row) => typeof row[i] === 'number'))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(headings), ...cells.map(line)].join('\n')
}

/** An object as `name  value` lines; nested objects and lists indented below their name. */
export function fields(value: Readonly<Record<string, unknown>>, indent = ''): string {
  const width = Math.max(0, ...Object.keys(value).map((name) => name.length))
  const lines = Object.entries(value).map(([name, inner]) => {
    if (!isNested(inner)) return `${indent}${name.padEnd(width)}  ${cellText(inner)}`
    const items = Array.isArray(inner) ? inner : [inner]
    const parts = items.map((item) => (isNested(item) ? fields(item, `${indent}  `) : `${indent}  ${cellText(item)}`))
    return [`${indent}${name}`, ...parts].join('\n')
  })
  return lines.join('\n')
}

const isNested = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.keys(value).length > 0

/** What peers and payers wrote may hold control characters: never onto a terminal as it is. */
function cellText(cell: unknown): string {
  if (cell === null || cell === undefined) return '-'
  if (typeof cell === 'number') return cell.toLocaleString('en-US', { maximumFractionDigits: 3 })
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no'
  if (typeof cell === 'object') return '-'
  return printable(String(cell), 10_000)
}

/** Prints a result: one line of JSON for programs, or the text for people. */
export function show(json: boolean, value: unknown, text: () => string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text()}\n`)
}

/** `1 channel`, `2 channels`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/** Notices go to standard error, so that standard output stays what was asked for. */
export const notice = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** Calls back when whoever reads the output has seen enough, as in `fulmen logs --follow | head`; other errors are thrown. */
export function onReaderGone(output: NodeJS.EventEmitter, gone: () => void): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    gone()
  })
}
