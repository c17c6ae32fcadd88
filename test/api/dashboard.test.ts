import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { App } from '../../src/api/app.ts'
import { encodingFor, loadDashboard } from '../../src/api/dashboard.ts'
import { dashboardRoutes } from '../../src/api/routes/dashboard.ts'
import { testApi } from './harness.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const FILES = {
  'dashboard/index.html':
    '<link href="%ASSETS%/dashboard/style.css">%PRELOADS%<script src="%ASSETS%/dashboard/main.js"></script>',
  'dashboard/main.js':
    "import { go } from './views/one.js'\ngo()\nexport const later = () => import('./views/two.js')\n//# sourceMappingURL=main.js.map",
  'dashboard/views/one.js': "export { go } from '../../client/index.js'",
  'dashboard/views/two.js': "export { three } from './three.js'",
  'dashboard/views/three.js': 'export const three = 3',
  'dashboard/views/unused.js': 'export const unused = 1',
  'dashboard/main.js.map': '{}',
  'dashboard/style.css': `/* ${'calm '.repeat(100)}*/`,
  'client/index.js': 'export const go = () => {}',
  'client/server.js': "import 'node:fs'",
  'node/secret.js': 'export const secret = 1',
}

function built(files: Readonly<Record<string, string>> = FILES): string {
  const root = mkdtempSync(join(tmpdir(), 'fulmen-test-'))
  folders.push(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return root
}

async function served(root = built()) {
  const app = fastify() as unknown as App
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store') // as the server does for everything
    done()
  })
  const dashboard = loadDashboard(root)!
  dashboardRoutes(app, dashboard)
  await app.ready()
  return { app, dashboard }
}

describe('the files of the dashboard', () => {
  it('are the page, its styles, and the modules that it reaches, and nothing else', async () => {
    const { app, dashboard } = await served()
    const views = ['one', 'three', 'two'].map((name) => `dashboard/views/${name}.js`)
    const reached = ['client/index.js', 'dashboard/main.js', 'dashboard/style.css', ...views]
    expect(dashboard.assets.map(({ name }) => name)).toEqual(reached)
    for (const name of reached) expect((await app.inject(`${dashboard.prefix}/${name}`)).statusCode).toBe(200)
    for (const name of [
      'dashboard/index.html',
      'dashboard/main.js.map',
      'client/server.js',
      'node/secret.js',
      '../node/secret.js',
      '%2e%2e/node/secret.js',
    ]) {
      expect((await app.inject(`${dashboard.prefix}/${name}`)).statusCode).toBe(404)
    }
  })

  it('have one address for their content, which changes with any of them, and may be kept for ever', async () => {
    const { app, dashboard } = await served()
    const page = await app.inject('/')
    expect(page.body).toContain(`<script src="${dashboard.prefix}/dashboard/main.js">`)
    expect(page.body).toContain(`<link rel="modulepreload" href="${dashboard.prefix}/client/index.js">`)
    expect(page.body).not.toMatch(/%|two\.js|three\.js/)
    expect(page.headers['cache-control']).toBe('no-cache')
    const again = await app.inject({ url: '/', headers: { 'if-none-match': String(page.headers.etag) } })
    expect([again.statusCode, again.body]).toEqual([304, ''])
    const script = await app.inject(`${dashboard.prefix}/dashboard/main.js`)
    expect(script.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(script.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(script.body).not.toContain('sourceMappingURL')
    const other = loadDashboard(built({ ...FILES, 'client/index.js': 'export const go = () => 1' }))!
    expect(other.prefix).not.toBe(dashboard.prefix)
    expect(loadDashboard(built())!.prefix).toBe(dashboard.prefix)
  })

  it('come compressed to those who take it', async () => {
    const { app, dashboard } = await served()
    const get = (accept: string) =>
      app.inject({ url: `${dashboard.prefix}/dashboard/style.css`, headers: { 'accept-encoding': accept } })
    const plain = FILES['dashboard/style.css']
    for (const [accept, encoding, decode] of [
      ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
      ['gzip', 'gzip', gunzipSync],
      ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
    ] as const) {
      for (let i = 0; i < 2; i++) {
        const { headers, rawPayload } = await get(accept)
        expect([headers['content-encoding'], headers.vary]).toEqual([encoding, 'accept-encoding'])
        expect(rawPayload.length).toBeLessThan(plain.length)
        expect(decode(rawPayload).toString()).toBe(plain)
      }
    }
    const asIs = await get('identity')
    expect([asIs.headers['content-encoding'], asIs.body]).toEqual([undefined, plain])
    expect([encodingFor(undefined), encodingFor('br;q=0.0'), encodingFor('GZIP')]).toEqual([null, null, 'gzip'])
  })

  it('allow nothing but themselves', async () => {
    const { app, dashboard } = await served()
    for (const url of ['/', `${dashboard.prefix}/dashboard/main.js`]) {
      const { headers } = await app.inject(url)
      const policy = String(headers['content-security-policy'])
      expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/)
      for (const word of ['unsafe', 'http', '*', 'data:', 'blob:']) expect(policy).not.toContain(word)
      expect(policy).toContain("require-trusted-types-for 'script'; trusted-types 'none'")
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['referrer-policy']).toBe('no-referrer')
    }
  })

  it('are not there in a program that was not built: the page then points to the docs', async () => {
    const { 'dashboard/main.js': _, ...unbuilt } = FILES
    expect(loadDashboard(built(unbuilt))).toBeNull()
    const { app } = await testApi()
    expect((await app.inject('/')).body).toContain('href="/docs"')
  })
})
