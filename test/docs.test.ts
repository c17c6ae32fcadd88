import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** Where else a page's paths may begin, beside the repository. */
const ROOTS: Readonly<Record<string, readonly string[]>> = {
  'docs/architecture.md': ['src'],
  'docs/crypto.md': ['src/crypto', 'src/crypto/core'],
  'docs/eclair.md': ['test/interop'],
}
const inDocs = readdirSync('docs', { recursive: true, encoding: 'utf8' }).map((f) => join('docs', f))
const pages = ['README.md', 'CHANGELOG.md', ...inDocs].filter((f) => f.endsWith('.md') && f !== 'docs/bolt-coverage.md')
const textOf = new Map(pages.map((page) => [page, readFileSync(page, 'utf8')]))
const architecture = textOf.get('docs/architecture.md')!

/** Whether there is such a file or folder; `*` stands for any part of a name. */
function exists(path: string): boolean {
  if (!path.includes('*')) return existsSync(path)
  const name = new RegExp(
    `^${path
      .slice(path.lastIndexOf('/') + 1)
      .replaceAll('.', '\\.')
      .replaceAll('*', '.*')}$`,
  )
  return existsSync(dirname(path)) && readdirSync(dirname(path)).some((f) => name.test(f))
}

/** `Paths` in code marks; of bare file names only those of pages with a root of their own. */
function pathsIn(page: string): readonly string[] {
  const words = [...textOf.get(page)!.matchAll(/`([^`\n]+)`/g)].flatMap(([, code]) => code!.split(' '))
  const isPath = /^[\w./*-]+\.(ts|mjs|sh|json|wasm)$|^(src|test|docs|bench|scripts|docker|\.ci)\/[\w./*-]+$/
  return words.filter((word) => isPath.test(word) && (word.includes('/') || page in ROOTS))
}

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

describe('the documentation', () => {
  it('names files that exist', () => {
    const missing = pages.flatMap((page) => {
      const roots = ['', ...(ROOTS[page] ?? [])]
      const paths = pathsIn(page).filter((path) => !roots.some((root) => exists(join(root, path))))
      return paths.map((path) => `${page}: ${path}`)
    })
    expect(missing).toEqual([])
    expect(pages.flatMap(pathsIn).length).toBeGreaterThan(100)
  })

  it('links to pages and headings that exist', () => {
    const dead = pages.flatMap((page) =>
      [...textOf.get(page)!.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].flatMap(([link, path, anchor]) => {
        const target = path === '' ? page : join(dirname(page), path!)
        const headings = [...(textOf.get(target) ?? '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
          anchorOf(heading!),
        )
        const isThere = existsSync(target) && (anchor === undefined || headings.includes(anchor))
        return isThere ? [] : [`${page}: ${link}`]
      }),
    )
    expect(dead).toEqual([])
  })

  it('names commands that exist', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
    const commands = readFileSync('src/cli/program.ts', 'utf8')
    const text = [...textOf.values()].join('\n')
    const ran = [...text.matchAll(/npm run ([\w-]+)/g)].map(([, name]) => name!)
    const called = [...text.matchAll(/npx fulmen ([a-z][\w-]*)/g)].map(([, name]) => name!)
    expect(ran.filter((name) => !(name in scripts))).toEqual([])
    expect(called.filter((name) => !new RegExp(`^  '?${name}'?: \\[`, 'm').test(commands))).toEqual([])
  })

  it('imports what the package gives out', () => {
    const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      exports: Record<string, { default: string }>
    }
    const imports = [...[...textOf.values()].join('\n').matchAll(/import \{ ([\w, ]+) \} from 'fulmen(\/[\w/]+)'/g)]
    expect(imports.length).toBeGreaterThan(2)
    const wrong = imports.filter(([, names, entry]) => {
      const built = exports[`.${entry}`]?.default
      if (built === undefined) return true
      const source = readFileSync(built.replace('./dist', 'src').replace(/js$/, 'ts'), 'utf8')
      return !names!.split(', ').every((name) => new RegExp(`^export .*\\b${name}\\b`, 'm').test(source))
    })
    expect(wrong.map(([line]) => line)).toEqual([])
  })

  it('docs/architecture.md leads an HTLC through functions that are where it says', () => {
    const rows = architecture.split('## The way of an HTLC')[1]!.split('\n## ')[0]!.split('\n').slice(6)
    const steps = rows.filter((row) => row.startsWith('|')).map((row) => row.split('|')[2]!)
    expect(steps.length).toBeGreaterThan(10)
    const wrong = steps.flatMap((step) => {
      let file = ''
      return [...step.matchAll(/`([^`]+)`/g)].flatMap(([, name]) => {
        if (!name!.endsWith('.ts')) return new RegExp(`${name}\\b`).test(file) ? [] : [name]
        file = readFileSync(join('src', name!), 'utf8')
        return []
      })
    })
    expect(wrong).toEqual([])
  })

  it('docs/architecture.md draws a tree of files that exist, with every folder of src', () => {
    const tree = architecture.split('\nsrc/\n')[1]!.split('```')[0]!
    const shown: string[] = []
    const missing: string[] = []
    for (const line of tree.split('\n')) {
      const folder = /^ {2}(\w+)\/ /.exec(line)?.[1]
      if (folder) shown.push(folder)
      const names = line.replace(/\([^)]*\)/g, '').match(/[\w*./]+\.(?:ts|css|html)\b/g) ?? []
      missing.push(...names.map((name) => join('src', shown.at(-1)!, name)).filter((path) => !exists(path)))
    }
    expect(missing).toEqual([])
    expect(shown.toSorted()).toEqual(readdirSync('src').toSorted())
  })
})
