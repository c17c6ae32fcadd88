import type { Key } from '../keySchemas.ts'
import type { Webhook } from '../webhookSchemas.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const DAY_MS = 24 * 3_600_000
const SOON_MS = 14 * DAY_MS
/** Somebody misses a key or not in so long after its end. */
const MISSED_MS = DAY_MS
/** A receiver that is away for a short time is nothing to know of. */
const AWAY_MS = 5 * 60_000

const UNITS = [
  ['day', DAY_MS],
  ['hour', 3_600_000],
] as const
/** As `3 days`, rounded down, in units of which there are two at least. @param more goes before the unit */
function span(ms: number, more = ''): string {
  const [unit, unitMs] = UNITS.find(([, size]) => ms >= 2 * size) ?? ['minute', 60_000]
  const n = Math.max(0, Math.floor(ms / unitMs))
  return `${n} ${more}${unit}${n === 1 ? '' : 's'}`
}

/** A new version ends no later than its key does. @param until Unix ms: when the present one ends */
const renewal = (id: string, expiresAt: string | null, until: number): string =>
  expiresAt === null || until < Date.parse(expiresAt)
    ? `fulmen key rotate ${id}`
    : `fulmen key update ${id} --expires-at DATE`

/** The key that somebody works with. @param now Unix ms */
export function ownKey({ id, expiresAt, rotateBy }: Pick<Key, 'id' | 'expiresAt' | 'rotateBy'>, now: number): Finding {
  const until = Math.min(
    ...[expiresAt, rotateBy].map((end) => (end === null ? Number.POSITIVE_INFINITY : Date.parse(end))),
  )
  const left = until - now
  if (left >= SOON_MS) return ok('API key', id)
  const alert = { code: 'KEY_EXPIRING', about: id } as const
  return warning('API key', `${id} works for ${span(left, 'more ')}`, renewal(id, expiresAt, until), alert)
}

/** A key of which it was told that it ends. @param until Unix ms: when it does */
export function endingKey(
  { id, name, expiresAt }: Pick<Key, 'id' | 'name' | 'expiresAt'>,
  { until, now }: { until: number; now: number },
): readonly Finding[] {
  const alert = { code: 'KEY_EXPIRING', about: id } as const
  if (now < until)
    return [
      warning(`key ${id}`, `${name} works for ${span(until - now, 'more ')}`, renewal(id, expiresAt, until), alert),
    ]
  if (now > until + MISSED_MS) return []
  const when = new Date(until).toISOString()
  const cure = `${renewal(id, expiresAt, until)}, or fulmen key revoke ${id}`
  return [problem(`key ${id}`, `${name} ended at ${when}: its clients are refused`, cure, alert)]
}

/** The certificate that is served, whoever made it: of one that lives for days, the last third. All times are Unix ms. */
export function certificateLife({ from, until }: { from: number; until: number }, now: number): Finding {
  const days = Math.floor((until - now) / DAY_MS)
  const cure = 'renew the files of --tls-cert and --tls-key: the node reads them again by itself'
  const alert = { code: 'CERTIFICATE_EXPIRING', about: null } as const
  if (now >= until) return problem('TLS certificate', `it expired ${span(now - until)} ago`, cure, alert)
  if (until - now < Math.min(SOON_MS, (until - from) / 3))
    return warning('TLS certificate', `it expires in ${span(until - now)}`, cure, alert)
  return ok('TLS certificate', `good for ${days} days`)
}

/** What a receiver does not get. @param now Unix ms */
export function delivery(
  { id, name, state, failing }: Pick<Webhook, 'id' | 'name' | 'state' | 'failing'>,
  now: number,
): readonly Finding[] {
  const what = name === '' ? id : `${name} (${id})`
  const check = `webhook ${id}`
  if (state === 'failed') {
    const message = `${what} gets no more events: ${failing?.reason ?? 'its receiver failed'}, ${failing?.attempts ?? 0} times since ${failing?.since}`
    const cure = `see that its receiver works, then fulmen webhook update ${id} --enable`
    return [problem(check, message, cure, { code: 'WEBHOOK_FAILED', about: id })]
  }
  if (state !== 'retrying' || failing === null || now - Date.parse(failing.since) < AWAY_MS) return []
  const message = `${what} is not acknowledged: ${failing.attempts} attempts since ${failing.since}; it is given up after a day`
  const cure = `see why its receiver refuses: fulmen webhook deliveries ${id}`
  return [warning(check, message, cure, { code: 'WEBHOOK_FAILING', about: id })]
}
