import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { describe, expect, it } from 'vitest'

/** docs/architecture.md §Layers: a module imports from its own row and the rows above it, never from below. */
const ROWS: readonly (readonly string[])[] = [
  ['base'],
  ['crypto'],
  ['bitcoin', 'wire'],
  ['onion', 'invoice', 'offers', 'noise'],
  ['channel', 'payment', 'routing'],
  ['store', 'chain', 'wallet', 'peer', 'gossip'],
  ['node'],
  ['api', 'cli', 'client', 'dashboard'],
]
const PURE = ['base', 'bitcoin', 'wire', 'onion', 'invoice', 'offers', 'noise', 'channel', 'payment', 'routing']
const row = (folder: string): number => ROWS.findIndex((r) => r.includes(folder))
const SRC = resolve(import.meta.dirname, '../src')

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'))
const imports = (file: string): string[] =>
  [...readFileSync(join(SRC, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => m[1]!)

/** What is wrong with an import, or null. */
function offence(file: string, specifier: string): string | null {
  const folder = file.split(sep)[0]!
  if (!specifier.startsWith('.')) {
    const shell =
      /^node:(net|http|https|fs|dgram|child_process|worker_threads|timers|os)|^(fastify|level|pino|ws)$/.test(specifier)
    return shell && PURE.includes(folder) ? `${file} is pure and imports ${specifier}` : null
  }
  const target = relative(SRC, resolve(SRC, file, '..', specifier)).split(sep)[0]!
  if (row(folder) < 0) return `${file} is in no row of the layer table`
  if (row(target) < 0) return `${file} imports ${specifier}, which is in no row`
  return row(target) > row(folder) ? `${file} imports ${specifier} from a row below` : null
}

describe('layers', () => {
  it('no module imports from a row below its own, and the pure ones touch no I/O', () => {
    expect(files.length).toBeGreaterThan(20)
    expect(files.flatMap((f) => imports(f).flatMap((i) => offence(f, i) ?? []))).toEqual([])
  })

  it('the rule itself sees an import from below and I/O in a pure folder', () => {
    expect(offence('wire/tlv.ts', '../node/reactor.ts')).toContain('from a row below')
    expect(offence('channel/advance.ts', 'node:fs')).toContain('pure')
    expect(offence('node/reactor.ts', '../wire/tlv.ts')).toBeNull()
  })

  it('only peer/sockets.ts opens Lightning sockets', () => {
    const isApi = (f: string): boolean => f.startsWith(`api${sep}`) || f.startsWith(`cli${sep}`)
    const takesMoreThanTypes = /^import (?!type )[^']*'node:net'|import\('node:net'/m
    const opens = (f: string): boolean => takesMoreThanTypes.test(readFileSync(join(SRC, f), 'utf8'))
    expect(files.filter((f) => !isApi(f) && opens(f))).toEqual([join('peer', 'sockets.ts')])
  })
})
