import { type Static, Type } from '@sinclair/typebox'
import { LOG_LEVELS, LOG_PARTS, type LogPart } from '../node/logLevels.ts'
import { answer, oneOf, request } from './scalars.ts'

/* What those who run a node ask for. */

const Level = oneOf(...LOG_LEVELS)
const ofEachPart = <T>(value: T) => Object.fromEntries(LOG_PARTS.map((part) => [part, value])) as Record<LogPart, T>

export const LogLevels = answer('LogLevels', { default: Level, parts: Type.Object(ofEachPart(Level)) })
export const SetLogLevels = request('SetLogLevels', {
  default: Level,
  parts: Type.Optional(Type.Object(ofEachPart(Type.Optional(Level)), { additionalProperties: false })),
})

export type LogLevels = Static<typeof LogLevels>
export type SetLogLevels = Static<typeof SetLogLevels>
