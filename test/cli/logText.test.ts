import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { logForPeople } from '../../src/cli/logText.ts'
import { Logs } from '../../src/node/logs.ts'

function writtenTo(isTTY: boolean): { readonly logs: Logs | null; readonly lines: string[] } {
  const lines: string[] = []
  const { log } = logForPeople({ isTTY, write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream)
  return { logs: log ? new Logs(pino({ level: 'trace', base: null }, log)) : null, lines }
}

describe('the log of a node in a terminal', () => {
  it('is text, a line each, and carries no control characters of a peer', () => {
    const { logs, lines } = writtenTo(true)
    logs!.of('peer').warn({ alias: '\u001b[2Jevil\r\n' }, 'said \u202eno\u0007')
    logs!.of('node').error({ err: new Error('the disk is full') }, 'this failed')
    expect(lines).toHaveLength(2)
    const [first, second] = lines as [string, string]
    expect(first).toMatch(
      /^20\d\d-\d\d-\d\dT[\d:.]{12}Z {2}warn {3}peer {5}said no {2}\{"alias":"[^\p{Cc}]*evil[^\p{Cc}]*"\}\n$/u,
    )
    expect(second).toMatch(/error {2}node {5}this failed {2}\{"err":\{.*"message":"the disk is full"/)
  })

  it('stays as it is where it does not go to one', () => {
    expect(writtenTo(false).logs).toBeNull()
  })
})
