/** What a key may do. `*` is everything. */
export const SCOPES = [
  'node:read',
  'peers:write',
  'channels:read',
  'channels:write',
  'invoices:read',
  'invoices:write',
  'payments:read',
  'payments:send',
  'wallet:read',
  'wallet:send',
  'chain:read',
  'chain:mine',
  'keys:admin',
  'audit:read',
  'metrics:read',
  '*',
] as const

export type Scope = (typeof SCOPES)[number]

/**
 * What a route asks of its caller, declared on every route: nothing, any valid key (the route filters by itself), or one of the
 * scopes named.
 */
export type RouteScope = 'public' | 'any-key' | Scope | readonly Scope[]

export function grants(held: readonly Scope[], asked: RouteScope): boolean {
  if (asked === 'public' || asked === 'any-key' || held.includes('*')) return true
  return typeof asked === 'string' ? held.includes(asked) : asked.some((scope) => held.includes(scope))
}

export const scopeText = (asked: RouteScope): string => (typeof asked === 'string' ? asked : asked.join(' or '))
