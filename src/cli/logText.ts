import { printable } from '../base/bytes.ts'
import { type LogLine, type LogOut, lineOf } from '../node/logRing.ts'

/** One line of the log for people. Texts may come from a peer: never onto a terminal as they are. */
export function logText({ at, level, part, message, fields }: Omit<LogLine, 'id'>): string {
  const more = Object.keys(fields).length === 0 ? '' : `  ${JSON.stringify(fields)}`
  return printable(`${at}  ${level.padEnd(5)}  ${part.padEnd(7)}  ${message}${more}`, 4_000)
}

/** The log of a node that a person runs in a terminal; programs that read it get JSON, a line each. */
export const logForPeople = (terminal: NodeJS.WriteStream): { readonly log?: LogOut } =>
  terminal.isTTY ? { log: { write: (line) => void terminal.write(`${logText(lineOf(line))}\n`) } } : {}
