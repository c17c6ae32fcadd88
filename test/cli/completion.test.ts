import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from './run.ts'

const hasShell = (name: string) => spawnSync(name, ['-c', 'true']).status === 0

for (const shell of ['bash', 'fish', 'zsh']) {
  if (!hasShell(shell))
    console.warn(`LEFT OUT: completion was not tried in ${shell}, because there is no ${shell} here`)
}

let dir: string
const script = (shell: string) => join(dir, `fulmen.${shell}`)
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'fulmen-completion-'))
  for (const shell of ['bash', 'zsh', 'fish']) writeFileSync(script(shell), (await run('completion', shell)).out)
})
afterAll(() => rmSync(dir, { recursive: true }))

/** What bash offers for each command line, the last word being the one that is typed. */
function offered(lines: readonly (readonly string[])[]): string[][] {
  const quote = (word: string) => `'${word}'`
  const asked = lines.map((words) => {
    const all = ['fulmen', ...words]
    return `COMP_WORDS=(${all.map(quote).join(' ')}); COMP_CWORD=${all.length - 1}; $handler; printf '%s ' "\${COMPREPLY[@]}"; echo`
  })
  // Whatever `complete` has registered is what bash would call.
  const handler = `handler=$(complete -p fulmen | sed -E 's/.*-F ([^ ]+).*/\\1/')`
  const text = [`source ${script('bash')}`, handler, ...asked].join('\n')
  const out = execFileSync('bash', ['--norc', '-c', text], { encoding: 'utf8', cwd: dir })
  return out
    .slice(0, -1)
    .split('\n')
    .map((line) => line.split(' ').filter(Boolean).sort())
}

interface Help {
  readonly path: readonly string[]
  readonly commands: readonly string[]
  readonly options: readonly string[]
}

/** Every place of the program as its own help pages tell it. */
async function helpOf(path: readonly string[] = []): Promise<Help[]> {
  const { out } = await run(...path, '--help')
  const section = (name: string) => new RegExp(`^${name}:\\n((?: +.*\\n)*)`, 'm').exec(out)?.[1] ?? ''
  const commands = [...section('Commands').matchAll(/^ {2}(\S+)/gm)].map((m) => m[1]!)
  const options = [...(section('Options') + section('Global Options')).matchAll(/^ {2}((?:-\w, )?--[\w-]+)/gm)]
  const here = { path, commands, options: options.flatMap((m) => m[1]!.split(', ')) }
  const below: Help[] = []
  for (const name of commands) if (name !== 'help') below.push(...(await helpOf([...path, name])))
  return [here, ...below]
}

describe('fulmen completion', () => {
  it.skipIf(!hasShell('bash'))(
    'bash offers the commands and options that the help of each command shows',
    async () => {
      const places = await helpOf()
      expect(places.length).toBeGreaterThan(60)
      const commands = offered(places.map(({ path }) => [...path, '']))
      const options = offered(places.map(({ path }) => [...path, '-']))
      places.forEach((place, i) => {
        if (place.path.join() !== 'completion')
          expect(commands[i], place.path.join(' ')).toEqual([...place.commands].sort())
        expect(options[i], place.path.join(' ')).toEqual([...place.options].sort())
      })
    },
    60_000,
  )

  it.skipIf(!hasShell('bash'))('bash completes words, skips values of options, and knows files and choices', () => {
    writeFileSync(join(dir, 'secret'), '')
    const all = offered([
      ['chan'],
      ['--data-dir', 'key', 'channel', 'o'],
      ['key', '--json', 'rot'],
      ['seed', 'show', '--passphrase-file', 'sec'],
      ['completion', ''],
      ['pay', '--wait', ''],
    ])
    expect(all).toEqual([['channel'], ['open'], ['rotate', 'rotate-all'], ['secret'], ['bash', 'fish', 'zsh'], []])
  })

  it.skipIf(!hasShell('fish'))('fish offers them too, with what each means', () => {
    const ask = (line: string) =>
      execFileSync('fish', ['--no-config', '-c', `source ${script('fish')}; complete -C '${line}'`], {
        encoding: 'utf8',
        env: { ...process.env, HOME: dir },
      })
    expect(ask('fulmen key rot')).toMatch(/^rotate\t.+\nrotate-all\t.+\n$/)
    expect(ask('fulmen --data-dir key channel op')).toMatch(/^open\t/)
    expect(ask('fulmen pay --wa')).toMatch(/^--wait\t/)
    expect(ask('fulmen completion ')).toBe('bash\nfish\nzsh\n')
  })

  it.skipIf(!hasShell('zsh'))('zsh offers them too, with what each means', () => {
    // What zsh's completion system would hand over, and what it would be told.
    const ask = (...words: string[]) =>
      execFileSync(
        'zsh',
        [
          ...[
            '-f',
            '-c',
            `compdef() {}; _describe() { print -l -- \${(P)2} }; compadd() { shift; print -l -- $@ }
          source ${script('zsh')}; words=(fulmen "$@"); CURRENT=$#words; PREFIX=$words[-1]; _fulmen`,
          ],
          ...['zsh', ...words],
        ],
        { encoding: 'utf8' },
      ).split('\n')
    expect(ask('key', '')).toContainEqual(expect.stringMatching(/^rotate-all:.+/))
    expect(ask('--data-dir', 'key', 'channel', '').map((l) => l.split(':')[0])).toContain('open')
    expect(ask('pay', '-').map((l) => l.split(':')[0])).toContain('--wait')
    expect(ask('completion', '')).toEqual(['bash', 'zsh', 'fish', ''])
  })

  it('refuses another shell', async () => {
    expect(await run('completion', 'tcsh')).toMatchObject({ code: 2, err: expect.stringContaining('bash, zsh, fish') })
  })
})
