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
  'webhooks:write',
  'keys:admin',
  'audit:read',
  'logs:read',
  'metrics:read',
  '*',
] as const

export type Scope = (typeof SCOPES)[number]

/** Scopes by what a client is for. `invoice` may receive and cannot spend. */
export const PRESETS = {
  readonly: [
    'node:read',
    'channels:read',
    'invoices:read',
    'payments:read',
    'wallet:read',
    'chain:read',
    'metrics:read',
  ],
  invoice: ['node:read', 'invoices:read', 'invoices:write', 'webhooks:write'],
  spend: [
    'node:read',
    'channels:read',
    'invoices:read',
    'invoices:write',
    'payments:read',
    'payments:send',
    'wallet:read',
    'wallet:send',
    'webhooks:write',
  ],
  admin: ['*'],
} as const satisfies Readonly<Record<string, readonly Scope[]>>

/** Whether who holds some scopes may give all of these to another. */
export const covers = (held: readonly Scope[], given: readonly Scope[]): boolean =>
  held.includes('*') || given.every((scope) => held.includes(scope))

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
