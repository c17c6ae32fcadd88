import { ApiProblem } from '../problems.ts'
import { cidrsWithin } from './cidr.ts'
import type { Budget, KeySettings } from './keyRecord.ts'
import { covers } from './scopes.ts'
import type { RateLimit } from './tokenBucket.ts'

/** The settings that decide what a key can do. */
export type Powers = Pick<KeySettings, 'scopes' | 'expiresAt' | 'allowedCidrs' | 'rateLimit' | 'budget'>

/**
 * A key can only make or change keys whose powers lie within its own.
 * @throws ApiProblem BEYOND_OWN_KEY, naming what does not
 */
export function checkWithin(powers: Powers, own: Powers): void {
  const beyond = (what: string): never => {
    throw new ApiProblem('BEYOND_OWN_KEY', `A key can only create and change keys within its own ${what}.`)
  }
  if (!covers(own.scopes, powers.scopes)) beyond('scopes')
  if (
    own.expiresAt !== null &&
    !(powers.expiresAt !== null && Date.parse(powers.expiresAt) <= Date.parse(own.expiresAt))
  )
    beyond(`life, which ends at ${own.expiresAt}`)
  if (!budgetWithin(powers.budget, own.budget)) beyond('budget')
  if (!cidrsWithin(powers.allowedCidrs, own.allowedCidrs)) beyond('allowedCidrs')
  if (!rateWithin(powers.rateLimit, own.rateLimit)) beyond('rateLimit')
}

function budgetWithin(budget: Budget | null, own: Budget | null): boolean {
  if (own === null) return true
  if (budget === null || budget.maxMsat > own.maxMsat) return false
  const ever = Number.POSITIVE_INFINITY
  return (budget.periodSeconds ?? ever) >= (own.periodSeconds ?? ever)
}

function rateWithin(rate: RateLimit | null, own: RateLimit | null): boolean {
  if (own === null) return true
  if (rate === null || rate.maxRequests > own.maxRequests) return false
  return rate.maxRequests * own.periodSeconds <= own.maxRequests * rate.periodSeconds
}
