import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = resolve(import.meta.dirname, '../../src')
const files = readdirSync(join(SRC, 'dashboard'), { recursive: true, encoding: 'utf8' })
  .map((f) => f.replaceAll('\\', '/'))
  .filter((f) => /\.\w+$/.test(f))
const scripts = files.filter((f) => f.endsWith('.ts')).map((f) => `dashboard/${f}`)
const textOf = (file: string): string => readFileSync(join(SRC, file), 'utf8')

/** What a browser would load: imports of types alone are gone from compiled code. */
const loads = (file: string): string[] =>
  [...textOf(file).matchAll(/^(?:import|export) (?!type\b)[^;]*?from '([^']+)'|\bimport\('([^']+)'\)/gm)]
    .map(([, now, later]) => now ?? later!)
    .map((path) => (path.startsWith('.') ? posix.join(posix.dirname(file), path) : path))

describe('the dashboard', () => {
  it('loads its own modules and those of the SDK, which loads none but its own', () => {
    expect(scripts.length).toBeGreaterThan(20)
    const client = readdirSync(join(SRC, 'client')).map((f) => `client/${f}`)
    for (const file of scripts) for (const path of loads(file)) expect([...scripts, ...client]).toContain(path)
    for (const path of scripts.flatMap(loads).filter((p) => p.startsWith('client/'))) {
      for (const next of loads(path)) expect(client).toContain(next)
    }
  })

  it('never reads text as markup or code, and holds no address of another host', () => {
    const forbidden =
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function|setTimeout\('|DOMParser/
    for (const file of scripts) expect([file, forbidden.exec(textOf(file))?.[0]]).toEqual([file, undefined])
    for (const file of files) {
      const addresses = [...textOf(`dashboard/${file}`).matchAll(/https?:\/\/[^\s'"`)]+/g)].map(([address]) => address)
      expect(addresses.filter((a) => a !== 'http://www.w3.org/2000/svg')).toEqual([])
    }
  })

  it('writes only the theme to storage', () => {
    const users = scripts.filter((file) => /localStorage|sessionStorage|indexedDB|document\.cookie/.test(textOf(file)))
    expect(users).toEqual(['dashboard/theme.ts'])
  })
})
