// Compiles the crypto core, src/crypto/core/*.ts (AssemblyScript), to build/core.wasm, when a source or the compiler is newer than
// what is there. Run by `npm run build`, and by vitest before the tests.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const sources = join(root, 'src/crypto/core')
const FLAGS = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort=']

/** What the output depends on, as one hash. */
function fingerprint() {
  const hash = createHash('sha256').update(FLAGS.join(' '))
  hash.update(readFileSync(join(root, 'node_modules/assemblyscript/package.json')))
  for (const file of readdirSync(sources)
    .filter((f) => f.endsWith('.ts'))
    .sort()) {
    hash.update(`\0${file}\0`).update(readFileSync(join(sources, file)))
  }
  return hash.digest('hex')
}

const textOr = (file, other) => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return other
  }
}

/**
 * Compiles when needed.
 * @param {string} directory where core.wasm goes
 * @param {readonly string[]} flags more flags of the compiler
 */
export async function buildCore(directory = join(root, 'build'), flags = []) {
  const stamp = join(directory, 'core.stamp')
  const wanted = `${fingerprint()} ${flags.join(' ')}\n`
  if (textOr(stamp, '') === wanted) return
  mkdirSync(directory, { recursive: true })
  const { default: asc } = await import('assemblyscript/asc')
  const fresh = join(directory, `core.${process.pid}.wasm`) // then renamed: others may be loading or building at the same time
  const { error, stderr } = await asc.main([
    join(sources, 'index.ts'),
    '--baseDir',
    root,
    '--outFile',
    fresh,
    ...FLAGS,
    ...flags,
  ])
  if (error) {
    rmSync(fresh, { force: true })
    throw new Error(`the crypto core does not compile: ${error.message}\n${stderr}`)
  }
  renameSync(fresh, join(directory, 'core.wasm'))
  writeFileSync(stamp, wanted)
}

/** For vitest's globalSetup. */
export const setup = () => buildCore()

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  await buildCore()
  const also = process.argv[2] // a second place, for a build that is not at the root
  if (also) {
    mkdirSync(also, { recursive: true })
    copyFileSync(join(root, 'build/core.wasm'), join(also, 'core.wasm'))
  }
}
