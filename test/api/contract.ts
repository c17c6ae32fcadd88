/** Any working key will do; what it may see is decided case by case. */
export const ANY_KEY = 'any-key'

/** The paths that clients rely on, with the scope each asks for; written by hand, not taken from the server. */
export const CONTRACT: readonly (readonly [method: string, path: string, scope: string])[] = [
  ['GET', '/v1/node', 'node:read'],
  ['GET', '/v1/node/log-levels', 'node:read'],
  ['PUT', '/v1/node/log-levels', '*'],
  ['GET', '/v1/balance', 'node:read'],
  ['GET', '/v1/peers', 'peers:write'],
  ['POST', '/v1/peers', 'peers:write'],
  ['DELETE', '/v1/peers/{nodeId}', 'peers:write'],
  ['GET', '/v1/channels', 'channels:read'],
  ['POST', '/v1/channels', 'channels:write'],
  ['GET', '/v1/channels/{channelId}', 'channels:read'],
  ['POST', '/v1/channels/{channelId}/close', 'channels:write'],
  ['PATCH', '/v1/channels/{channelId}/policy', 'channels:write'],
  ['GET', '/v1/invoices', 'invoices:read'],
  ['POST', '/v1/invoices', 'invoices:write'],
  ['GET', '/v1/invoices/{paymentHash}', 'invoices:read'],
  ['POST', '/v1/invoices/{paymentHash}/settle', 'invoices:write'],
  ['POST', '/v1/invoices/{paymentHash}/cancel', 'invoices:write'],
  ['POST', '/v1/decode', 'node:read'],
  ['GET', '/v1/payments', 'payments:read'],
  ['POST', '/v1/payments', 'payments:send'],
  ['GET', '/v1/payments/{paymentHash}', 'payments:read'],
  ['POST', '/v1/payments/{paymentHash}/cancel', 'payments:send'],
  ['GET', '/v1/wallet', 'wallet:read'],
  ['POST', '/v1/wallet/addresses', 'wallet:read'],
  ['GET', '/v1/wallet/utxos', 'wallet:read'],
  ['GET', '/v1/wallet/transactions', 'wallet:read'],
  ['POST', '/v1/wallet/transactions', 'wallet:send'],
  ['GET', '/v1/wallet/transactions/{txid}', 'wallet:read'],
  ['GET', '/v1/chain', 'chain:read'],
  ['GET', '/v1/chain/blocks/{heightOrHash}', 'chain:read'],
  ['GET', '/v1/chain/transactions/{txid}', 'chain:read'],
  ['GET', '/v1/chain/fees', 'chain:read'],
  ['POST', '/v1/chain/mine', 'chain:mine'],
  ['GET', '/v1/graph/nodes', 'node:read'],
  ['GET', '/v1/graph/channels', 'node:read'],
  ['POST', '/v1/graph/routes', 'node:read'],
  ['GET', '/v1/forwards', 'node:read'],
  ['GET', '/v1/analytics/summary', 'node:read'],
  ['GET', '/v1/analytics/forwards', 'node:read'],
  ['GET', '/v1/analytics/payments', 'node:read'],
  ['GET', '/v1/analytics/channels', 'node:read'],
  ['GET', '/v1/analytics/balance-history', 'node:read'],
  ['GET', '/v1/backup', '*'],
  ['POST', '/v1/backup/verify', '*'],
  ['POST', '/v1/events/tickets', ANY_KEY],
  ['GET', '/v1/events', ANY_KEY],
  ['GET', '/v1/keys', 'keys:admin'],
  ['POST', '/v1/keys', 'keys:admin'],
  ['GET', '/v1/keys/self', ANY_KEY],
  ['POST', '/v1/keys/self/rotate', ANY_KEY],
  ['POST', '/v1/keys/rotate-all', 'keys:admin'],
  ['GET', '/v1/keys/{id}', 'keys:admin'],
  ['PATCH', '/v1/keys/{id}', 'keys:admin'],
  ['DELETE', '/v1/keys/{id}', 'keys:admin'],
  ['GET', '/v1/keys/{id}/usage', 'keys:admin'],
  ['POST', '/v1/keys/{id}/rotate', 'keys:admin'],
  ['POST', '/v1/keys/{id}/rollback', 'keys:admin'],
  ['GET', '/v1/audit', 'audit:read'],
  ['GET', '/v1/webhooks', 'webhooks:write'],
  ['POST', '/v1/webhooks', 'webhooks:write'],
  ['GET', '/v1/webhooks/{id}', 'webhooks:write'],
  ['PATCH', '/v1/webhooks/{id}', 'webhooks:write'],
  ['DELETE', '/v1/webhooks/{id}', 'webhooks:write'],
  ['POST', '/v1/webhooks/{id}/rotate', 'webhooks:write'],
  ['POST', '/v1/webhooks/{id}/ping', 'webhooks:write'],
  ['GET', '/v1/webhooks/{id}/deliveries', 'webhooks:write'],
  ['POST', '/v1/webhooks/{id}/deliveries/{seq}/redeliver', 'webhooks:write'],
  ['GET', '/metrics', 'metrics:read'],
]

/** Those that need no key. */
export const PUBLIC = ['/', '/docs', '/v1/openapi.json', '/health/live', '/health/ready']

/** A path with its parameters filled in, so that only what is tested can be wrong with it. */
export const filled = (path: string): string =>
  path
    .replace('{nodeId}', `03${'cd'.repeat(32)}`)
    .replace('{heightOrHash}', '100')
    .replace('{id}', 'abababababab')
    .replace(/\{\w+\}/g, 'ab'.repeat(32))
