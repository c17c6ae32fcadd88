import { Kind, type TObject, type TSchema, TypeRegistry } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { type ApiProblem, badFields, type FieldError } from './problems.ts'

/** More bad fields than this are not listed. */
const MAX_ERRORS = 100

const PARTS: Readonly<Record<string, FieldError['in']>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'header',
}

/** A string out of a list, as JSON Schema's `enum` (a union of literals serialises slowly). */
export const STRING_ENUM = 'StringEnum'
TypeRegistry.Set<{ enum: readonly string[] }>(STRING_ENUM, (schema, value) => schema.enum.includes(value as string))

/** Of a part of a request. */
export type Verdict = { value: unknown } | { error: Error }

/**
 * Fastify's validator compiler. Bodies are taken as they are (nothing is coerced, filled in or removed), an absent body counts as
 * `{}`; query values are text and become what the schema asks for.
 */
export function compileValidator(route: { schema: unknown; httpPart?: string }): (data: unknown) => Verdict {
  const schema = route.schema as TSchema
  const where = PARTS[route.httpPart ?? ''] ?? 'body'
  const compiled = TypeCompiler.Compile(schema)
  return (data) => {
    const value = where === 'query' ? fromQuery(schema as TObject, data) : where === 'body' ? (data ?? {}) : data
    if (compiled.Check(value)) return { value }
    return { error: validationProblem(compiled.Errors(value), where) }
  }
}

function validationProblem(found: Iterable<ValueError>, where: FieldError['in']): ApiProblem {
  const errors = new Map<string, FieldError>()
  for (const error of found) {
    if (errors.size >= MAX_ERRORS) break
    if (!errors.has(error.path)) errors.set(error.path, { in: where, pointer: error.path, detail: explain(error) })
  }
  return badFields([...errors.values()])
}

function explain({ type, schema, message }: ValueError): string {
  if (type === ValueErrorType.ObjectRequiredProperty) return 'is required'
  if (type === ValueErrorType.ObjectAdditionalProperties) return 'is not a known field'
  if (schema.description && (type === ValueErrorType.Union || (schema.pattern && OF_TEXT.has(type))))
    return `expected ${schema.description}`
  if (schema[Kind] === STRING_ENUM) return `expected one of ${(schema.enum as string[]).join(', ')}`
  return message.replace(/^E/, 'e')
}

/** What a pattern is described by says more than a length. */
const OF_TEXT = new Set([ValueErrorType.StringPattern, ValueErrorType.StringMinLength, ValueErrorType.StringMaxLength])
const INTEGER = /^-?\d{1,16}$/

/** Query text as the schema's own types; what does not read as such stays text and is refused by the check. */
function fromQuery(schema: TObject, data: unknown): Record<string, unknown> {
  const query: Record<string, unknown> = Object.create(null)
  for (const [name, text] of Object.entries(data as Record<string, unknown>)) {
    const type: unknown = Object.hasOwn(schema.properties, name) ? schema.properties[name]?.type : undefined
    query[name] = typeof text === 'string' ? read(type, text) : text
  }
  return query
}

function read(type: unknown, text: string): unknown {
  if (type === 'integer' && INTEGER.test(text)) return Number(text)
  return type === 'boolean' && (text === 'true' || text === 'false') ? text === 'true' : text
}
