import { Type } from '@sinclair/typebox'
import { unknownTypes } from './events.ts'
import { withRule, withRules } from './rules.ts'
import { timedQuery } from './scalars.ts'
import { timeRange } from './times.ts'

/* What a stream of events is asked for by. */

const EventTypes = Type.String({
  maxLength: 1_000,
  description: 'event types, separated by commas; payment.* for all of a kind',
})
const EventQueryFields = timedQuery({
  types: Type.Optional(withRule(EventTypes, (types) => unknownTypes(types.split(',')))),
  since: Type.Optional(
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'id of the last event seen' }),
  ),
  ticket: Type.Optional(Type.String({ maxLength: 100, description: 'from POST /v1/events/tickets' })),
})
export const EventQuery = withRules(EventQueryFields, (rule) => [
  rule(['since', 'from'], ({ since, from }) =>
    since !== undefined && from !== undefined ? ['/from', 'expected since or from, not both'] : null,
  ),
  rule(['to'], (given, { now }) =>
    (timeRange(given).to ?? 0) > now ? ['/to', 'expected a time, or the end of a day, that has passed'] : null,
  ),
])
export const EventHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ pattern: '^(\\d{1,15})?$', description: 'the id of an event; taken before `since`' }),
  ),
})
