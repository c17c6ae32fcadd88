import type { RouteOptions } from 'fastify'
import { scopeText } from './auth/scopes.ts'
import { PROBLEMS } from './problems.ts'
import { Event } from './schemas.ts'

type Schema = Record<string, unknown>

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly tags: readonly string[]
  readonly security: readonly Schema[]
  readonly parameters?: readonly Schema[]
  readonly requestBody?: Schema
  readonly responses: Readonly<Record<string, Schema>>
  readonly 'x-scope': string
}

export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: Schema
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  /** What the node calls. */
  readonly webhooks: Schema
  readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes: Schema }
  readonly tags: readonly { readonly name: string }[]
}

const DESCRIPTION = `A Lightning node. Amounts are integers, their unit is in the name; errors are RFC 9457 problems.
Send an API key or, where an issuer is configured, its access token as bearer.
Answers to a key with a rate limit carry RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset (seconds).
Answers to a key that is to be rotated carry X-Key-Rotate-From and X-Key-Rotate-By: between these two times POST /v1/keys/self/rotate.`

const STATUS_TEXT: Readonly<Record<string, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted: under way',
  204: 'Done',
  503: 'Not ready',
}

const ProblemSchema: Schema = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'what was wrong and what to do' },
    code: { type: 'string', enum: Object.keys(PROBLEMS) },
    retryAfterSeconds: { type: 'integer' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['in', 'pointer', 'detail'],
        properties: {
          in: { type: 'string', enum: ['body', 'query', 'path', 'header'] },
          pointer: { type: 'string', description: 'JSON pointer of the field' },
          detail: { type: 'string' },
        },
      },
    },
  },
}

/**
 * The OpenAPI 3.1 document of the routes as they are registered: what the server checks and serialises with is what is written here.
 * @param routes everything that fastify's onRoute hook saw
 */
export function openApiDocument(routes: readonly RouteOptions[], version: string): OpenApiDocument {
  const components: Record<string, Schema> = { Problem: ProblemSchema }
  const paths: Record<string, Record<string, Operation>> = {}
  const tags = new Set<string>()
  for (const route of routes) {
    if (!route.schema?.summary || route.method === 'HEAD') continue
    const path = route.url.replace(/:(\w+)/g, '{$1}')
    const operation = operationOf(route, components)
    for (const tag of operation.tags) tags.add(tag)
    paths[path] = { ...paths[path], [String(route.method).toLowerCase()]: operation }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Fulmen',
      version,
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths,
    webhooks: { event: { post: postedEvent(hoist(JSON.parse(JSON.stringify(Event)) as Schema, components)) } },
    components: {
      schemas: components,
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'fulmen_<keyId>_<secret>' },
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'an access token of the OpenID Connect issuer, where one is configured; its scope claim holds the scopes',
        },
        ticket: { type: 'apiKey', in: 'query', name: 'ticket', description: 'one-time, from POST /v1/events/tickets' },
      },
    },
    tags: [...tags].map((name) => ({ name })),
  }
}

/** What a webhook's receiver gets. */
const postedEvent = (event: Schema): Schema => ({
  operationId: 'receiveEvent',
  summary:
    'An event, posted to the address of a webhook until it is acknowledged with a 2xx; signed as Standard Webhooks 1.0',
  parameters: [
    ['webhook-id', 'of the message, the same at every attempt'],
    ['webhook-timestamp', 'Unix seconds of this attempt'],
    [
      'webhook-signature',
      'v1,BASE64 of HMAC-SHA-256 over webhook-id.webhook-timestamp.body; several with spaces between',
    ],
  ].map(([name, description]) => ({ name, in: 'header', required: true, description, schema: { type: 'string' } })),
  requestBody: { required: true, content: { 'application/json': { schema: event } } },
  responses: { '2XX': { description: 'Acknowledged' }, '410': { description: 'Post no more' } },
})

function operationOf(route: RouteOptions, components: Record<string, Schema>): Operation {
  const { schema = {}, config = {} } = route
  const refer = (part: unknown): Schema => hoist(JSON.parse(JSON.stringify(part)) as Schema, components)
  const parameters = [
    ...parametersOf('path', schema.params, refer),
    ...parametersOf('query', schema.querystring, refer),
    ...parametersOf('header', schema.headers, refer),
  ]
  const body = route.method === 'DELETE' ? undefined : (schema.body as Schema | undefined)
  return {
    operationId: operationId(route),
    summary: schema.summary ?? '',
    tags: schema.tags ?? [],
    security: securityOf(route),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: body.minProperties !== undefined || (Array.isArray(body.required) && body.required.length > 0),
        content: { 'application/json': { schema: refer(body) } },
      },
    }),
    responses: responsesOf(route, refer),
    'x-scope': scopeText(config.scope ?? 'public'),
  }
}

/** `POST /v1/channels/:channelId/close` → postChannelsClose */
function operationId(route: RouteOptions): string {
  const words = route.url.split('/').filter((part) => part && part !== 'v1')
  const names = words.flatMap((word) =>
    word.startsWith(':') ? (word === words.at(-1) ? ['one'] : []) : word.split(/\W/),
  )
  return String(route.method).toLowerCase() + names.map((n) => n.charAt(0).toUpperCase() + n.slice(1)).join('')
}

function securityOf({ config = {} }: RouteOptions): Schema[] {
  if (config.scope === 'public') return []
  const usual = [{ key: [] }, { token: [] }]
  return config.takesTicket ? [...usual, { ticket: [] }] : usual
}

function parametersOf(where: string, schema: unknown, refer: (part: unknown) => Schema): Schema[] {
  if (!schema) return []
  const { properties = {}, required = [] } = schema as { properties?: Record<string, Schema>; required?: string[] }
  return Object.entries(properties).map(([name, property]) => ({
    name: where === 'header' ? name.replace(/(^|-)[a-z]/g, (first) => first.toUpperCase()) : name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: refer(property),
  }))
}

function responsesOf({ schema = {} }: RouteOptions, refer: (part: unknown) => Schema): Record<string, Schema> {
  const answers: Record<string, Schema> = {}
  for (const [status, body] of Object.entries((schema.response ?? {}) as Record<string, Schema>)) {
    const description = STATUS_TEXT[status] ?? 'Answer'
    answers[status] =
      body.type === 'null' ? { description } : { description, content: { 'application/json': { schema: refer(body) } } }
  }
  for (const type of schema.produces ?? []) {
    const others = answers['200']?.content as Schema | undefined
    answers['200'] = {
      description: 'OK',
      content: { ...others, [type]: { schema: { type: type === 'application/json' ? 'object' : 'string' } } },
    }
  }
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
  answers['4XX'] = { description: 'What was asked cannot be done', content: problem }
  answers['5XX'] = { description: 'The node cannot do it now', content: problem }
  return answers
}

/** Moves every schema with a title to the components and leaves a reference. */
function hoist(schema: Schema, components: Record<string, Schema>): Schema {
  const inner: Schema = {}
  for (const [key, value] of Object.entries(schema)) inner[key] = hoistValue(value, components)
  const { title, ...rest } = inner
  if (typeof title !== 'string') return inner
  if (!Array.isArray(rest.type)) {
    components[title] = rest
    return { $ref: `#/components/schemas/${title}` }
  }
  // A nullable component: the reference or null.
  components[title] = { ...rest, type: 'object' }
  return { anyOf: [{ $ref: `#/components/schemas/${title}` }, { type: 'null' }] }
}

function hoistValue(value: unknown, components: Record<string, Schema>): unknown {
  if (Array.isArray(value)) return value.map((item) => hoistValue(item, components))
  return value && typeof value === 'object' ? hoist(value as Schema, components) : value
}
