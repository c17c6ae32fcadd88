// Writes docs/bolt-coverage.md: for each MUST of the BOLTs (docs/bolt/requirements.txt, in our own words) the code and the tests that
// cite its section. `--check` only compares.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const TARGET = join(ROOT, 'docs/bolt-coverage.md')
const MOST_NAMED = 6

/** { bolt, name, names, unsupported, musts: [{ text, count, gap, fields }] } */
function readRequirements() {
  const sections = []
  for (const line of readFileSync(join(ROOT, 'docs/bolt/requirements.txt'), 'utf8').split('\n')) {
    const head = /^## (\d+) (\S+)(?: = ([^~]+?))?(?: ~ (.+))?$/.exec(line)
    const must = /^- (.+?)(?: x(\d+))?(?: ! (.+))?$/.exec(line)
    if (head) {
      const [, bolt, name, others = '', unsupported = null] = head
      sections.push({
        bolt: Number(bolt),
        name,
        names: [name, ...others.split(', ').filter(Boolean)],
        unsupported,
        musts: [],
      })
    } else if (must) {
      const [, text, count = '1', gap = null] = must
      const fields = [...text.matchAll(/`(\w+)`/g)].map((m) => m[1])
      sections.at(-1).musts.push({ text, count: Number(count), gap, fields })
    } else if (line !== '' && !line.startsWith('#'))
      throw new Error(`docs/bolt/requirements.txt: cannot read "${line}"`)
  }
  return sections
}

/** What stands beside tests and helps them proves nothing by itself. */
const ENDING = { src: '.ts', test: '.test.ts' }

const filesOf = (folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && e.name.endsWith(ENDING[folder]))
    .map((e) => relative(ROOT, join(e.parentPath, e.name)))
    .sort()

/** Every "BOLT n §section, §section" of a text as "n section". */
function citations(text) {
  const found = new Set()
  for (const [, bolt, rest] of text.matchAll(/BOLT (\d+)((?:(?!BOLT \d)[^\n])*)/g)) {
    for (const [, name] of rest.matchAll(/§([\w-]+)/g)) found.add(`${Number(bolt)} ${name}`)
  }
  return found
}

const camel = (name) => name.replace(/_(\w)/g, (_, c) => c.toUpperCase())

function scan(folder) {
  return filesOf(folder).map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, text, cited: citations(text) }
  })
}

const citing = (files, section) => files.filter((f) => section.names.some((n) => f.cited.has(`${section.bolt} ${n}`)))

/** Of the files that cite the section those that have all the fields; none when that narrows nothing. */
function named(files, fields) {
  if (fields.length === 0) return []
  const found = files.filter((f) => fields.every((n) => f.text.includes(n) || f.text.includes(camel(n))))
  return found.length < files.length ? found : []
}

const names = (files, most = MOST_NAMED) => {
  const paths = files.map((f) => f.path.replace(/^(src|test)\//, '').replace(/(\.test)?\.ts$/, ''))
  const more = paths.length > most ? ` and ${paths.length - most} more` : ''
  return `${paths.slice(0, most).join(', ')}${more}`
}

/** One section, and what of it lacks something. */
function section(s, src, test, tally) {
  const musts = s.musts.reduce((sum, m) => sum + m.count, 0)
  tally.all += musts
  if (s.unsupported) {
    tally.unsupported += musts
    return { lines: [`**${s.name}**: ${musts} that are not for us: ${s.unsupported}.`, ''], gaps: [], uncited: [] }
  }
  const [code, tests] = [citing(src, s), citing(test, s)]
  const kind = code.length && tests.length ? 'both' : code.length ? 'code' : tests.length ? 'test' : 'none'
  const cited = [code.length && `code: ${names(code)}`, tests.length && `tests: ${names(tests)}`].filter(Boolean)
  const lines = [`**${s.name}**: ${cited.join('; ') || 'cited nowhere'}`, '']
  const lacks = { both: null, code: 'no test cites it', test: 'no code cites it', none: 'nothing cites it' }[kind]
  const gaps = []
  for (const m of s.musts) {
    tally[m.gap ? 'gap' : kind] += m.count
    const closer = [...named(code, m.fields), ...named(tests, m.fields)]
    const count = m.count === 1 ? '' : ` (${m.count})`
    const where = closer.length > 0 ? ` → ${names(closer, 3)}` : ''
    lines.push(`- ${m.text}${count}${where}${m.gap ? ` — *${m.gap}*` : ''}`)
    if (m.gap) gaps.push(`- BOLT ${s.bolt}, ${s.name}: ${m.text}${count} — *${m.gap}*`)
  }
  const uncited = lacks === null ? [] : [`- BOLT ${s.bolt}, ${s.name} (${musts}): ${lacks}`]
  return { lines: [...lines, ''], gaps, uncited }
}

function render() {
  const [src, test] = [scan('src'), scan('test')]
  const tally = { all: 0, both: 0, code: 0, test: 0, none: 0, gap: 0, unsupported: 0 }
  const [out, gaps, uncited] = [[], [], []]
  let bolt = -1
  for (const s of readRequirements()) {
    if (s.bolt !== bolt) out.push(`## BOLT ${s.bolt}`, '')
    bolt = s.bolt
    const part = section(s, src, test, tally)
    out.push(...part.lines)
    gaps.push(...part.gaps)
    uncited.push(...part.uncited)
  }
  const head = `# Coverage of the BOLTs

Made by \`node scripts/boltCoverage.mjs\` from \`docs/bolt/requirements.txt\` (the MUSTs of BOLTs 1 to 5, 7 to 9 and 11 in our own words) and the
citations in the code and the tests: do not edit it, run the script.

What a match means: the files cite the section of the BOLT that the requirement is in. Behind an arrow are those among them that also have the fields of
messages which the requirement names. It does not show that a requirement is met: the tests do, as far as they go. A number in brackets says for how
many MUSTs a line stands.

| | MUSTs |
| --- | --- |
| in all | ${tally.all} |
| in sections that code and tests cite | ${tally.both} |
| in sections that code alone cites | ${tally.code} |
| in sections that tests alone cite | ${tally.test} |
| in sections that nothing cites | ${tally.none} |
| not done, or done otherwise | ${tally.gap} |
| of features that are not offered | ${tally.unsupported} |

## Not done, or done otherwise

${gaps.join('\n')}

## Without a citation in the code or the tests

${uncited.length === 0 ? 'None.' : uncited.join('\n')}
`
  return `${head}\n${out.join('\n').trimEnd()}\n`
}

const text = render()
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) {
    console.error('docs/bolt-coverage.md is not what the code and the tests cite: node scripts/boltCoverage.mjs')
    process.exit(1)
  }
} else writeFileSync(TARGET, text)
