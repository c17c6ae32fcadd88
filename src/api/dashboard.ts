import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, posix, resolve } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'

export type Encoding = 'br' | 'gzip'

/** A file of the dashboard. */
export interface Asset {
  /** `dashboard/main.js`: below the folder that bears the hash of them all. */
  readonly name: string
  readonly type: string
  readonly body: Buffer
}

/** The dashboard as the build made it. */
export interface Dashboard {
  /** The page at `/`. */
  readonly page: Asset
  /** `/assets/HASH`: new when any file is new, so that all below it may be kept for ever. */
  readonly prefix: string
  readonly assets: readonly Asset[]
}

const MAIN = 'dashboard/main.js'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Only its own files and its own API; no script or style of the page itself, and no text that becomes markup. */
export const DASHBOARD_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    ...['script-src', 'style-src', 'img-src', 'connect-src'].map((kind) => `${kind} 'self'`),
    ...['base-uri', 'form-action', 'frame-ancestors'].map((kind) => `${kind} 'none'`),
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/**
 * The dashboard and the SDK that it uses, read once.
 * @param root the folder of the compiled program, which has `dashboard/` and `client/`
 * @returns null where the program was not built (run from its sources)
 */
export function loadDashboard(root = resolve(import.meta.dirname, '..')): Dashboard | null {
  if (!existsSync(join(root, MAIN)) || !existsSync(join(root, 'dashboard/index.html'))) return null
  const statics = readdirSync(join(root, 'dashboard')).filter((name) => /\.(css|svg)$/.test(name))
  const names = [...modulesFrom(root, MAIN, [IMPORTS, LATER]), ...statics.map((name) => `dashboard/${name}`)]
  const assets = names.sort().map((name) => assetOf(root, name))
  const hash = createHash('sha256')
  for (const { name, body } of assets) hash.update(`${name}\0${body.length}\0`).update(body)
  const prefix = `/assets/${hash.digest('hex').slice(0, 16)}`
  const first = modulesFrom(root, MAIN, [IMPORTS]).filter((name) => name !== MAIN)
  return { page: pageOf(join(root, 'dashboard/index.html'), prefix, first), prefix, assets }
}

const IMPORTS = /(?:from|import)\s*['"](\.[^'"]+)['"]/g
/** Modules that are fetched when they are needed. */
const LATER = /import\(['"](\.[^'"]+)['"]\)/g

/** A module and all that it imports, as paths below `root`. */
function modulesFrom(root: string, first: string, kinds: readonly RegExp[]): string[] {
  const found = new Set([first])
  for (const name of found) {
    const text = readFileSync(join(root, name), 'utf8')
    for (const kind of kinds) {
      for (const [, path = ''] of text.matchAll(kind)) found.add(posix.join(posix.dirname(name), path))
    }
  }
  return [...found]
}

function assetOf(root: string, name: string): Asset {
  const body = readFileSync(join(root, name))
  // Source maps are not served: without this line no browser asks for them.
  const isScript = name.endsWith('.js')
  const served = isScript ? Buffer.from(body.toString().replace(/\n\/\/# sourceMappingURL=.*/, '')) : body
  return { name, type: TYPES[extname(name)]!, body: served }
}

/** The page names the scripts that it starts with, so that they need not be found one by another. */
function pageOf(file: string, prefix: string, scripts: readonly string[]): Asset {
  const preloads = scripts.map((name) => `<link rel="modulepreload" href="${prefix}/${name}">`)
  const html = readFileSync(file, 'utf8').replaceAll('%ASSETS%', prefix).replace('%PRELOADS%', preloads.join('\n    '))
  return { name: 'index.html', type: TYPES['.html']!, body: Buffer.from(html) }
}

const COMPRESS = { br: promisify(brotliCompress), gzip: promisify(gzip) } as const

/** Compresses each file once for each encoding, when it is first asked for. */
export class Compressed {
  readonly #made = new Map<string, Promise<Buffer>>()

  of({ name, body }: Asset, encoding: Encoding): Promise<Buffer> {
    const id = `${encoding} ${name}`
    const made = this.#made.get(id) ?? COMPRESS[encoding](body)
    this.#made.set(id, made)
    return made
  }
}

/** @param accept the Accept-Encoding header @returns null: as it is */
export function encodingFor(accept: string | undefined): Encoding | null {
  const offered = (accept ?? '').split(',').flatMap((item) => {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    return parameters.some((p) => /^q=0(\.0*)?$/.test(p)) ? [] : [name]
  })
  return (['br', 'gzip'] as const).find((encoding) => offered.includes(encoding)) ?? null
}
