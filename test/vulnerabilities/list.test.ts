import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const text = readFileSync('docs/vulnerabilities.md', 'utf8')
const filesIn = (markdown: string): readonly string[] => markdown.match(/test\/[\w/-]+\.test\.ts/g) ?? []

/** The titles of a file's `describe`s and `it`s that run: those of one that is skipped or only planned are none. */
function titlesOf(path: string): readonly string[] {
  const source = readFileSync(path, 'utf8')
  const calls = source.matchAll(/^\s*(?:describe|it)(?:\.each\([^)]*\))?\(\s*(['"`])((?:(?!\1)[^\\]|\\.)+)\1/gm)
  return [...calls].map(([, , title]) => title!.toLowerCase())
}

/** The rows of the tables: a class with its name in bold, and the files with its tests. */
const classes = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:---|class) /.test(line))
  .map((line) => {
    const cells = line.split(/(?<!\\) \| /)
    return { name: /\*\*(.+?)\*\*/.exec(cells[0]!)?.[1], files: filesIn(cells.at(-1)!) }
  })

describe('docs/vulnerabilities.md', () => {
  it('names tests that exist, and every test of this folder', () => {
    const named = new Set(filesIn(text))
    expect(named.size).toBeGreaterThan(20)
    expect([...named].filter((path) => !existsSync(path))).toEqual([])
    const here = readdirSync('test/vulnerabilities').filter((f) => f !== 'list.test.ts')
    expect(here.filter((f) => !named.has(`test/vulnerabilities/${f}`))).toEqual([])
  })

  it('gives each class a name of its own', () => {
    expect(classes.length).toBeGreaterThan(60)
    const names = classes.map((c) => c.name?.toLowerCase())
    for (const [i, name] of names.entries()) {
      expect(name, `row ${i + 1}`).toBeDefined()
      expect(names.filter((other) => other?.includes(name!))).toEqual([name])
    }
  })

  it('has for each class a test with its name, in one of the files that the class points at', () => {
    const without = classes.filter(
      ({ name, files }) => !files.some((path) => titlesOf(path).some((title) => title.includes(name!.toLowerCase()))),
    )
    expect(without.map((c) => c.name)).toEqual([])
  })
})
