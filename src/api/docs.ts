import { createHash } from 'node:crypto'
import type { OpenApiDocument, Operation } from './openapi.ts'
import { PROBLEMS } from './problems.ts'

type Json = Record<string, unknown>

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#b45309}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:2rem 1rem}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:var(--soft);padding:.75rem;overflow-x:auto;border-radius:.4rem}
h1 span{color:var(--accent)}h2{border-bottom:1px solid var(--line);padding-bottom:.2rem;margin-top:2.5rem}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.5rem .75rem}summary{cursor:pointer}
summary code{font-weight:600}summary b{display:inline-block;min-width:4.2rem;color:var(--accent)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
nav a{margin-right:.75rem}small{opacity:.75}a{color:inherit}`

/** Nothing but our own inline style: no scripts, no other hosts, no frames. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
} as const

const escaped = (text: unknown): string => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>`

export const landingPage = (): string =>
  page(
    'Fulmen',
    `<h1><span>ϟ</span> Fulmen</h1><p>A Lightning node is running here. It is driven over REST.</p>
<ul><li><a href="/docs">API reference</a></li><li><a href="/v1/openapi.json">OpenAPI document</a></li><li><a href="/health/ready">Health</a></li></ul>
<p>Every call but these needs a key. The first start wrote one to <code>admin.key</code> in the data directory:</p>
<pre>curl -H "Authorization: Bearer $(cat ~/.fulmen/admin.key)" http://127.0.0.1:9737/v1/node</pre>`,
  )

/** The whole reference as one page without scripts. */
export function docsPage(document: OpenApiDocument): string {
  const sections = document.tags.map(({ name }) => sectionOf(document, name))
  const nav = [...document.tags.map((t) => t.name), 'schemas', 'problems']
    .map((name) => `<a href="#${escaped(name)}">${escaped(name)}</a>`)
    .join('')
  return page(
    'Fulmen API',
    `<h1><span>ϟ</span> Fulmen API</h1><p>${escaped(document.info.description)} Version ${escaped(document.info.version)}.
<a href="/v1/openapi.json">OpenAPI document</a></p><nav>${nav}</nav>
<p>Send <code>Authorization: Bearer fulmen_…</code>; the first start of the node wrote an admin key to <code>admin.key</code> in its data directory.
Lists take <code>?limit=&amp;cursor=</code> and answer <code>{ items, nextCursor }</code>, newest first.
Calls marked with <code>Idempotency-Key</code> act once per key and body.</p>
${sections.join('')}${schemasSection(document)}${problemsSection()}`,
  )
}

function sectionOf(document: OpenApiDocument, tag: string): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([method, operation]) => operationHtml(method, path, operation)),
  )
  return `<h2 id="${escaped(tag)}">${escaped(tag)}</h2>${operations.join('')}`
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const parameters = (operation.parameters ?? []).map(
    (p) =>
      `<tr><td><code>${escaped(p.name)}</code></td><td>${escaped(p.in)}</td><td>${typeHtml(p.schema as Json)}</td></tr>`,
  )
  const body = bodySchema(operation.requestBody)
  const answers = Object.entries(operation.responses)
    .filter(([status]) => !status.endsWith('XX'))
    .map(([status, response]) => {
      const schema = bodySchema(response)
      return `<li><code>${escaped(status)}</code> ${schema ? typeHtml(schema) : escaped(response.description)}</li>`
    })
  return `<details id="${escaped(operation.operationId)}"><summary><b>${method.toUpperCase()}</b><code>${escaped(path)}</code> <small>${escaped(operation.summary)}</small></summary>
<p>Scope: <code>${escaped(operation['x-scope'])}</code></p>${parameters.length > 0 ? `<table>${parameters.join('')}</table>` : ''}
${body ? `<p>Body: ${typeHtml(body)}</p>` : ''}<ul>${answers.join('')}</ul></details>`
}

function bodySchema(holder: Json | undefined): Json | undefined {
  const content = holder?.content as Record<string, { schema: Json }> | undefined
  return content && Object.values(content)[0]?.schema
}

function schemasSection(document: OpenApiDocument): string {
  const tables = Object.entries(document.components.schemas).map(([name, schema]) => {
    const required = new Set((schema.required as string[] | undefined) ?? [])
    const rows = Object.entries((schema.properties as Record<string, Json> | undefined) ?? {}).map(
      ([field, type]) =>
        `<tr><td><code>${escaped(field)}</code>${required.has(field) ? '' : ' <small>optional</small>'}</td><td>${typeHtml(type)}</td></tr>`,
    )
    return `<h3 id="schema-${escaped(name)}">${escaped(name)}</h3><table>${rows.join('')}</table>`
  })
  return `<h2 id="schemas">schemas</h2>${tables.join('')}`
}

function typeHtml(schema: Json): string {
  const ref = schema.$ref
  if (typeof ref === 'string') {
    const name = escaped(ref.split('/').at(-1))
    return `<a href="#schema-${name}">${name}</a>`
  }
  if (Array.isArray(schema.anyOf)) return (schema.anyOf as Json[]).map(typeHtml).join(' or ')
  if (Array.isArray(schema.enum)) return (schema.enum as unknown[]).map((v) => `<code>${escaped(v)}</code>`).join(' ')
  if (schema.type === 'array') return `array of ${typeHtml(schema.items as Json)}`
  const type = [schema.type ?? 'any'].flat().join(' or ')
  return `${escaped(type)}${schema.description ? ` <small>${escaped(schema.description)}</small>` : ''}`
}

function problemsSection(): string {
  const rows = Object.entries(PROBLEMS).map(
    ([code, { status, title }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${escaped(title)}</td></tr>`,
  )
  return `<h2 id="problems">problems</h2><table><tr><th>code</th><th>status</th><th></th></tr>${rows.join('')}</table>`
}
