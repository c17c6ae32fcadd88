import { Kind, type TObject, type TSchema, TypeRegistry } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { badFields, type FieldError } from './problems.ts'
import { faultsByRules, hasRules, type Moment } from './rules.ts'

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
 * Fastify's validator compiler, of schemas and of the rules that they carry. Bodies are taken as they are (nothing is coerced, filled in
 * or removed), an absent body counts as `{}`; query values are text and become what the schema asks for.
 * @param moment when the request is looked at
 */
export function validatorCompiler(moment: () => Moment) {
  return (route: { schema: unknown; httpPart?: string }): ((data: unknown) => Verdict) => {
    const schema = route.schema as TSchema
    const where = PARTS[route.httpPart ?? ''] ?? 'body'
    const compiled = TypeCompiler.Compile(schema)
    const isRuled = hasRules(schema)
    return (data) => {
      const value = where === 'query' ? fromQuery(schema as TObject, data) : where === 'body' ? (data ?? {}) : data
      const isFit = compiled.Check(value)
      if (isFit && !isRuled) return { value }
      const faults = isFit ? [] : schemaFaults(compiled.Errors(value))
      if (isRuled && faults.length < MAX_ERRORS) {
        const faulty = faults.map(({ pointer }) => pointer)
        faults.push(...faultsByRules(schema, { value, at: '', faulty, moment: moment() }).slice(0, MAX_ERRORS))
      }
      if (faults.length === 0) return { value }
      return { error: badFields(faults.map((fault) => ({ in: where, ...fault }))) }
    }
  }
}

type FieldFault = Omit<FieldError, 'in'>

function schemaFaults(found: Iterable<ValueError>): FieldFault[] {
  const faults = new Map<string, FieldFault>()
  for (const error of found) {
    if (faults.size >= MAX_ERRORS) break
    if (!faults.has(error.path)) faults.set(error.path, { pointer: error.path, detail: explain(error) })
  }
  return [...faults.values()]
}

function explain({ type, schema, message }: ValueError): string {
  if (type === ValueErrorType.ObjectRequiredProperty) return 'is required'
  if (type === ValueErrorType.ObjectAdditionalProperties) return 'is not a known field'
  if (type === ValueErrorType.ObjectMinProperties) return 'expected at least one field to change'
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
