import type { Webhook } from '../webhookSchemas.ts'
import type { Hook } from './hook.ts'

/** As clients see it: without its secrets. */
export function webhookJson({ record, state, cursor }: Hook): Webhook {
  const { id, keyId, name, url, types, createdAt, failing, gaveUp, secrets } = record
  return {
    id,
    keyId,
    name,
    url,
    types: types === null ? null : [...types],
    state,
    createdAt,
    lastEventId: cursor,
    failing: failing && {
      since: failing.since,
      attempts: failing.attempts,
      nextAttemptAt: state === 'retrying' ? failing.nextAttemptAt : null,
      reason: gaveUp,
    },
    overlapUntil: secrets[1]?.until ?? null,
  }
}
