import type { Command } from 'commander'
import { fields } from '../output.ts'
import { oneCommand } from '../resources.ts'

export function register(program: Command): void {
  oneCommand(program, 'decode', {
    about: 'what an invoice or an offer says',
    argument: ['<text>', 'a BOLT 11 invoice, or a BOLT 12 offer, invoice request or invoice'],
    call: (client, text) => client.decode(text),
    text: (decoded) => fields(decoded),
  })
}
