import type { FastifyError, FastifyRequest } from 'fastify'
import { ApiProblem, badFields, type FieldError } from './problems.ts'
import type { Verdict } from './validation.ts'

/** In the order in which fastify checks them, up to the first that is bad. */
const CHECKED = ['params', 'body', 'querystring', 'headers'] as const
type CheckedPart = (typeof CHECKED)[number]

/** With the faults of the parts that were not looked at after the first bad one: who sent them all fixes them at once. */
export function allFaults(request: FastifyRequest, error: Error): Error {
  const { validationContext: bad } = error as FastifyError
  if (!(error instanceof ApiProblem) || bad === undefined) return error
  const rest = CHECKED.slice(CHECKED.indexOf(bad as CheckedPart) + 1).flatMap((part) => faultsIn(request, part))
  return badFields([...(error.errors ?? []), ...rest])
}

function faultsIn(request: FastifyRequest, part: CheckedPart): readonly FieldError[] {
  const check = request.getValidationFunction(part) as ((data: unknown) => Verdict) | undefined
  const verdict = check?.(part === 'querystring' ? request.query : request[part])
  return verdict && 'error' in verdict && verdict.error instanceof ApiProblem ? (verdict.error.errors ?? []) : []
}
