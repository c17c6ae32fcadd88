import { vi } from 'vitest'
import { main } from '../../src/cli/program.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Options come from no variable of whoever runs the tests, until `vi.unstubAllEnvs`. */
export function withoutVariables(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('FULMEN_')) vi.stubEnv(name, undefined)
}

/** Runs one command line in this process. */
export async function run(...args: readonly string[]): Promise<Ran> {
  const written = { out: '', err: '' }
  const capture = (stream: 'out' | 'err') => (text: string | Uint8Array) => {
    written[stream] += typeof text === 'string' ? text : Buffer.from(text).toString()
    return true
  }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(capture('out') as never),
    vi.spyOn(process.stderr, 'write').mockImplementation(capture('err') as never),
  ]
  process.exitCode = undefined
  try {
    const code = await main(args)
    return { code, ...written }
  } finally {
    process.exitCode = undefined
    for (const spy of spies) spy.mockRestore()
  }
}
