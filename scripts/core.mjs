// Compiles the crypto core, src/crypto/core/ (AssemblyScript), to build/core.wasm, and puts its worker beside it, when a source or the compiler is other than it was
// made of. Run by `npm run build`, and by vitest before the tests.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const sources = join(root, 'src/crypto/core')

/** What is built: the core that runs, and the one for tests, which exports its parts and checks their bounds. */
const FLAGS = ['-O3', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort=']
export const CORE = { directory: join(root, 'build'), entry: 'index.ts', flags: [...FLAGS, '--noAssert'] }
export const CHECKED = { directory: join(root, 'build/checked'), entry: 'testing.ts', flags: FLAGS }

/** All that the output depends on, as one line. */
function fingerprint({ entry, flags }) {
  const hash = createHash('sha256').update([entry, ...flags].join(' '))
  hash.update(readFileSync(join(root, 'node_modules/assemblyscript/package.json')))
  for (const file of readdirSync(sources).sort()) {
    if (/\.(ts|mjs)$/.test(file)) hash.update(`\0${file}\0`).update(readFileSync(join(sources, file)))
  }
  return `${hash.digest('hex')}\n`
}

const textOr = (file, other) => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return other
  }
}

/** Compiles when needed. */
export async function buildCore(target = CORE) {
  const { directory, entry, flags } = target
  const stamp = join(directory, 'core.stamp')
  const wanted = fingerprint(target)
  if (textOr(stamp, '') === wanted) return
  mkdirSync(directory, { recursive: true })
  const { default: asc } = await import('assemblyscript/asc')
  const fresh = join(directory, `core.${process.pid}.wasm`) // then renamed: others may be loading or building at the same time
  const { error, stderr } = await asc.main([join(sources, entry), '--baseDir', root, '--outFile', fresh, ...flags])
  if (error) {
    rmSync(fresh, { force: true })
    throw new Error(`the crypto core does not compile: ${error.message}\n${stderr}`)
  }
  renameSync(fresh, join(directory, 'core.wasm'))
  copyFileSync(join(sources, 'worker.mjs'), join(directory, 'worker.mjs'))
  writeFileSync(stamp, wanted)
}

/** For vitest's globalSetup. */
export async function setup() {
  await buildCore()
  await buildCore(CHECKED)
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  await buildCore()
  const also = process.argv[2] // a second place, for a build that is not at the root
  if (also) {
    mkdirSync(also, { recursive: true })
    for (const file of ['core.wasm', 'worker.mjs']) copyFileSync(join(root, 'build', file), join(also, file))
  }
}
