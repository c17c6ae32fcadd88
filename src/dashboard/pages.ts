import type { View } from './app.ts'

/* Every page, in the order of the navigation. */

export const VIEWS: readonly View[] = [
  {
    route: 'overview',
    title: 'Overview',
    icon: 'overview',
    scopes: ['node:read'],
    load: () => import('./views/overview.ts'),
  },
  {
    route: 'payments',
    title: 'Payments',
    icon: 'payments',
    scopes: ['payments:read', 'invoices:read', 'node:read'],
    load: () => import('./views/payments.ts'),
  },
  {
    route: 'channels',
    title: 'Channels',
    icon: 'channels',
    scopes: ['channels:read', 'channels:write', 'peers:write'],
    load: () => import('./views/channels.ts'),
  },
  {
    route: 'wallet',
    title: 'Wallet',
    icon: 'wallet',
    scopes: ['wallet:read'],
    load: () => import('./views/wallet.ts'),
  },
  {
    route: 'earnings',
    title: 'Earnings',
    icon: 'earnings',
    scopes: ['node:read'],
    load: () => import('./views/earnings.ts'),
  },
  {
    route: 'network',
    title: 'Network',
    icon: 'network',
    scopes: ['node:read'],
    load: () => import('./views/network.ts'),
  },
  {
    route: 'webhooks',
    title: 'Webhooks',
    icon: 'webhooks',
    scopes: ['webhooks:write'],
    load: () => import('./views/webhooks.ts'),
  },
  { route: 'keys', title: 'API keys', icon: 'keys', scopes: ['keys:admin'], load: () => import('./views/keys.ts') },
  { route: 'audit', title: 'Audit', icon: 'audit', scopes: ['audit:read'], load: () => import('./views/audit.ts') },
  { route: 'log', title: 'Log', icon: 'log', scopes: ['node:read', 'logs:read'], load: () => import('./views/log.ts') },
  { route: 'node', title: 'Node', icon: 'node', scopes: ['node:read'], load: () => import('./views/node.ts') },
]
