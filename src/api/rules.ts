import type { Static, TObject, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/*
 * What a schema cannot say of a request: two fields that do not go together, a day that the calendar does not have, a time in the past.
 * The validator looks at these rules together with the schema, so that who sends several faults is told of all of them at once.
 */

/** What a rule may ask for besides the request. */
export interface Moment {
  /** Unix ms. */
  readonly now: number
  /** Of the node. */
  readonly network: string
}

/** Where below the value that the rule is about, as a JSON pointer, and what was expected there. */
type Fault = readonly [pointer: string, detail: string]

interface Rule {
  /** Pointers to what it looks at: where the schema finds a fault in one of them, there is nothing to look at. */
  readonly of: readonly string[]
  readonly fault: (value: never, moment: Moment) => Fault | null
}

const RULES = Symbol('rules')
type Ruled = TSchema & { readonly [RULES]?: readonly Rule[] }

const addRules = <T extends TSchema>(schema: T, rules: readonly Rule[]): T => ({
  ...schema,
  [RULES]: [...((schema as Ruled)[RULES] ?? []), ...rules],
})

/** A rule about one value. @param fault what was expected in its place; null: it will do */
export const withRule = <T extends TSchema>(
  schema: T,
  fault: (value: Static<T>, moment: Moment) => string | null,
): T => {
  const here = (value: Static<T>, moment: Moment): Fault | null => {
    const detail = fault(value, moment)
    return detail === null ? null : ['', detail]
  }
  return addRules(schema, [{ of: [''], fault: here }])
}

/** One rule about these fields of an object. */
type RuleOf<O> = <K extends keyof O & string>(
  of: readonly K[],
  fault: (fields: Pick<O, K>, moment: Moment) => Fault | null,
) => Rule

/** Rules about fields that have to go together. @param rules each made by `rule(fields, fault)` */
export const withRules = <T extends TObject>(schema: T, rules: (rule: RuleOf<Static<T>>) => readonly Rule[]): T =>
  addRules(
    schema,
    rules((of, fault) => ({ of: of.map((field) => `/${field}`), fault })),
  )

/** With the rules of an object that has some of its fields. */
export const withRulesOf = <T extends TObject>(other: TObject, schema: T): T =>
  addRules(schema, (other as Ruled)[RULES] ?? [])

const partsOf = (schema: TSchema): readonly TSchema[] => [
  ...Object.values((schema.properties ?? {}) as Record<string, TSchema>),
  ...(schema.items ? [schema.items as TSchema] : []),
  ...((schema.anyOf ?? []) as readonly TSchema[]),
]

/** Whether there is a rule in a schema, or in one that it is made of. */
export const hasRules = (schema: Ruled): boolean => schema[RULES] !== undefined || partsOf(schema).some(hasRules)

/** What the rules are asked about. */
export interface Looked {
  readonly value: unknown
  /** JSON pointer of the value. */
  readonly at: string
  /** Pointers to what is known to be wrong. */
  readonly faulty: readonly string[]
  readonly moment: Moment
}

interface Found {
  readonly pointer: string
  readonly detail: string
}

/** What the rules of a schema, and of those that it is made of, find in a value that may not fit it. */
export function faultsByRules(schema: Ruled, looked: Looked): readonly Found[] {
  if (schema.type === 'object' && !isObject(looked.value)) return []
  const inside = faultsInside(schema, looked)
  const faulty = [...looked.faulty, ...inside.map(({ pointer }) => pointer)]
  const isFaulty = (at: string) => faulty.some((pointer) => pointer === at || pointer.startsWith(`${at}/`))
  const found: Found[] = []
  for (const { of, fault } of schema[RULES] ?? []) {
    const wrong = of.some((field) => isFaulty(looked.at + field)) ? null : fault(looked.value as never, looked.moment)
    if (wrong) found.push({ pointer: looked.at + wrong[0], detail: wrong[1] })
  }
  return [...found, ...inside]
}

/** In the order in which the fields were sent. */
function faultsInside({ properties = {}, items, anyOf = [] }: TSchema, looked: Looked): readonly Found[] {
  const { value, at } = looked
  const ofOne = (anyOf as readonly TSchema[]).filter((one) => hasRules(one) && Value.Check(one, value))
  const parts: (readonly [string | number, unknown, TSchema])[] = []
  if (isObject(value))
    for (const [name, field] of Object.entries(value))
      if (Object.hasOwn(properties, name)) parts.push([name, field, properties[name]])
  if (items && Array.isArray(value)) for (const [index, item] of value.entries()) parts.push([index, item, items])
  return [
    ...ofOne.flatMap((one) => faultsByRules(one, looked)),
    ...parts.flatMap(([name, part, schema]) => faultsByRules(schema, { ...looked, value: part, at: `${at}/${name}` })),
  ]
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
