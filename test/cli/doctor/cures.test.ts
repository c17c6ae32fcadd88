import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { run } from '../run.ts'

/** What the doctor looks at itself, and what it shares with the alerts of a node. */
const FOLDERS = ['cli/doctor/', 'api/checks/', 'api/alerts/'].map(
  (name) => new URL(`../../../src/${name}`, import.meta.url),
)

/** The command lines in what the doctor advises: `fulmen key rotate`, with the options that follow. */
function advised(): readonly (readonly string[])[] {
  const text = FOLDERS.flatMap((folder) =>
    readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8')),
  )
  const lines = text.join('\n').matchAll(/\bfulmen ((?:[a-z]+)(?: (?:[a-z]+|--[a-z-]+|\$\{\w+\}|[A-Z]\S*))*)/g)
  return [...lines].map(([, words]) => words!.split(' '))
}

describe('the cures of the doctor', () => {
  it('name only commands and options that there are', async () => {
    const all = advised()
    expect(all.length).toBeGreaterThan(10)
    for (const words of all) {
      const options = words.filter((word) => word.startsWith('--'))
      // A second word is a command below the first, or prose.
      const names = words.filter((word) => /^[a-z]+$/.test(word)).slice(0, 2)
      const { out } = await run(...names, '--help')
      expect(out, words.join(' ')).toMatch(new RegExp(`^Usage: fulmen ${names[0]}`))
      for (const option of options) expect(out, words.join(' ')).toMatch(new RegExp(`${option}(?![\\w-])`))
    }
  })
})
