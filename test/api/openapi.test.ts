import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../src/api/problems.ts'
import { CONTRACT, PUBLIC } from './contract.ts'
import { testApi } from './harness.ts'

type Json = Record<string, unknown>

/** Every object in a document, with where it stands. */
function* objects(value: unknown, path = '#'): Generator<[string, Json]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [path, value as Json]
  for (const [key, inner] of Object.entries(value)) yield* objects(inner, `${path}/${key}`)
}

const document = async () => {
  const api = await testApi()
  return { ...api, document: (await api.app.inject('/v1/openapi.json')).json() }
}

describe('the OpenAPI document', () => {
  it('lists every route of the contract with its scope, and no route that the contract does not know', async () => {
    const { document: doc } = await document()
    const listed = Object.entries<Json>(doc.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, op]) => [method.toUpperCase(), path, (op as Json)['x-scope']]),
    )
    for (const [method, path, scope] of CONTRACT) {
      const found = listed.find(([m, p]) => m === method && p === path)
      expect(found, `${method} ${path}`).toBeDefined()
      if (!path.startsWith('/v1/events')) expect(String(found?.[2]).split(' or ')).toContain(scope)
    }
    const known = new Set([...CONTRACT.map(([m, p]) => `${m} ${p}`), ...PUBLIC.map((p) => `GET ${p}`)])
    expect(listed.filter(([m, p]) => !known.has(`${m} ${p}`))).toEqual([])
  })

  it('has the shape that OpenAPI 3.1 asks for', async () => {
    const { document: doc } = await document()
    expect(doc.openapi).toMatch(/^3\.1\.\d+$/)
    expect(doc.paths['/v1/openapi.json'].get.responses['200'].content).toEqual({
      'application/json': { schema: { type: typeof doc } },
    })
    expect(doc.info).toMatchObject({ title: expect.any(String), version: expect.any(String) })
    const ids: string[] = []
    for (const [path, methods] of Object.entries<Record<string, Json>>(doc.paths)) {
      expect(path.startsWith('/')).toBe(true)
      for (const [method, op] of Object.entries(methods)) {
        expect(['get', 'put', 'post', 'delete', 'patch']).toContain(method)
        ids.push(op.operationId as string)
        const parameters = (op.parameters ?? []) as Json[]
        for (const p of parameters) {
          expect(p).toMatchObject({
            name: expect.any(String),
            in: expect.stringMatching(/^(path|query|header)$/),
            schema: expect.any(Object),
          })
          if (p.in === 'path') expect(p.required).toBe(true)
        }
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1])
        expect(parameters.filter((p) => p.in === 'path').map((p) => p.name)).toEqual(inPath)
        for (const [status, response] of Object.entries(op.responses as Record<string, Json>)) {
          expect(status).toMatch(/^([1-5]\d\d|[1-5]XX)$/)
          expect(response.description).toEqual(expect.any(String))
        }
        for (const requirement of op.security as Json[]) {
          for (const scheme of Object.keys(requirement)) expect(doc.components.securitySchemes).toHaveProperty(scheme)
        }
      }
    }
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z]\w+$/)
  })

  it('has no reference to nowhere, no keyword of OpenAPI 3.0 and no schema type that JSON Schema lacks', async () => {
    const { document: doc } = await document()
    const types = ['object', 'array', 'string', 'integer', 'number', 'boolean', 'null']
    for (const [path, node] of objects({ paths: doc.paths, components: doc.components })) {
      if (typeof node.$ref === 'string') {
        const [, , , name] = node.$ref.split('/')
        expect(doc.components.schemas, `${path} → ${node.$ref}`).toHaveProperty(String(name))
      }
      expect(node, path).not.toHaveProperty('nullable')
      if (/schema$|\/(schemas|properties)\/\w+$|\/items$/.test(path) && !/securitySchemes/.test(path)) {
        for (const type of [node.type ?? []].flat()) expect(types, path).toContain(type)
        for (const name of (node.required as string[] | undefined) ?? [])
          expect(node.properties, path).toHaveProperty(name)
      }
    }
  })

  it('says what webhooks bring', async () => {
    const { document: doc } = await document()
    const { parameters, requestBody } = doc.webhooks.event.post
    expect(parameters.map((p: Json) => p.name)).toEqual(['webhook-id', 'webhook-timestamp', 'webhook-signature'])
    expect(requestBody.content['application/json'].schema).toEqual({ $ref: '#/components/schemas/Event' })
    expect(Object.keys(doc.components.schemas.Event.properties)).toEqual(['id', 'type', 'at', 'data'])
  })

  it('refuses unknown fields in every request body', async () => {
    const { document: doc } = await document()
    for (const [path, methods] of Object.entries<Record<string, Json>>(doc.paths)) {
      for (const [method, op] of Object.entries(methods)) {
        expect(op.requestBody !== undefined, `${method} ${path}`).toBe(['post', 'put', 'patch'].includes(method))
        const body = op.requestBody as { content: Record<string, { schema: { $ref: string } }> } | undefined
        if (!body) continue
        const name = body.content['application/json']?.schema.$ref.split('/').at(-1) ?? ''
        expect(doc.components.schemas[name].additionalProperties, `${path}: ${name}`).toBe(false)
      }
    }
  })

  it('marks the calls that take an Idempotency-Key: those that move money', async () => {
    const { document: doc } = await document()
    const marked = Object.entries<Record<string, Json>>(doc.paths).flatMap(([path, methods]) =>
      Object.values(methods).some((op) => ((op.parameters ?? []) as Json[]).some((p) => p.name === 'Idempotency-Key'))
        ? [path]
        : [],
    )
    expect(marked.sort()).toEqual(
      [
        '/v1/channels',
        '/v1/channels/{channelId}/close',
        '/v1/invoices',
        '/v1/payments',
        '/v1/wallet/transactions',
        '/v1/wallet/transactions/{txid}/bump',
      ].sort(),
    )
  })
})

describe('the documentation pages', () => {
  it('show every path and every problem code, and load nothing', async () => {
    const { app } = await testApi()
    const docs = await app.inject('/docs')
    for (const [method, path] of CONTRACT) expect(docs.body).toContain(`<b>${method}</b><code>${path}</code>`)
    for (const code of Object.keys(PROBLEMS)) expect(docs.body).toContain(`id="${code}"`)
    for (const page of [docs, await app.inject('/')]) {
      expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
      expect(page.headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'sha256-[\w+/=]+'; base-uri 'none'/,
      )
      expect(page.body).not.toMatch(/<script|<img|<link|<iframe|\ssrc=|\son\w+=|style="|https?:\/\/(?!127\.0\.0\.1)/i)
    }
  })

  it('link only to anchors that exist', async () => {
    const { app } = await testApi()
    const { body } = await app.inject('/docs')
    const ids = new Set([...body.matchAll(/id="([^"]+)"/g)].map((m) => m[1]))
    for (const [, anchor] of body.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(anchor)
  })
})

describe('the problem table', () => {
  it('gives 5xx only to what is the node’s own trouble', () => {
    const serverSide = Object.entries(PROBLEMS).filter(([, { status }]) => status >= 500)
    expect(serverSide.map(([code]) => code).sort()).toEqual(
      ['CHAIN_UNAVAILABLE', 'INTERNAL', 'ISSUER_UNAVAILABLE', 'NOT_SUPPORTED', 'SHUTTING_DOWN', 'STORAGE_LOW'].sort(),
    )
  })

  it('covers every code that the source throws', () => {
    const source = readFileSync(new URL('../../src/node/errors.ts', import.meta.url), 'utf8')
    const codes = [...(source.split('export class')[0] ?? '').matchAll(/'([A-Z_]+)'/g)].map((m) => m[1])
    expect(codes.length).toBeGreaterThan(15)
    for (const code of codes) expect(PROBLEMS).toHaveProperty(code as string)
  })
})
