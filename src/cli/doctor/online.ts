import { connect } from 'node:tls'
import type { Key } from '../../api/keySchemas.ts'
import type { Event } from '../../api/schemas.ts'
import { ApiError, ConnectionError } from '../../client/errors.ts'
import { type FulmenClient, whole } from '../../client/index.ts'
import { channelFindings } from './channels.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const DAY_MS = 24 * 3_600_000
/** Clocks further apart than this make keys, invoices and logs say different things. */
const SKEW_MS = 30_000
const SOON_DAYS = 14
/** How many of the last events are looked through for alerts, and how long. */
const EVENTS = 5_000
const EVENTS_MS = 1_000
const ALERTS_SHOWN = 5
/** Without these a check is left out. */
const NEEDED = ['node:read', 'channels:read', 'wallet:read'] as const

/** The key that is used: works, for how long, and for what. @returns the key; null where the node takes it not */
export async function key(
  client: FulmenClient,
  now: number,
): Promise<{ findings: readonly Finding[]; key: Key | null }> {
  try {
    const self = await client.keys.self()
    return { findings: keyFindings(self, now), key: self }
  } catch (error) {
    if (error instanceof ConnectionError || !(error instanceof ApiError)) throw error
    const cure = 'fulmen key reset on the machine of the node, or another key in FULMEN_KEY'
    return { findings: [problem('API key', `${error.message} [${error.code}]`, cure)], key: null }
  }
}

function keyFindings({ id, scopes, expiresAt, rotateBy }: Key, now: number): readonly Finding[] {
  const missing = scopes.includes('*') ? [] : NEEDED.filter((scope) => !scopes.includes(scope))
  const days = Math.floor((Date.parse(expiresAt ?? rotateBy ?? '9999-12-31T00:00:00Z') - now) / DAY_MS)
  const found: Finding[] = []
  if (missing.length > 0) {
    const message = `${id} has no ${missing.join(', ')}: what they show was not looked at`
    found.push(warning('API key', message, 'run the doctor with a key of the preset readonly'))
  }
  if (days < SOON_DAYS) {
    const cure = `fulmen key rotate ${id}${expiresAt === null ? '' : `, or fulmen key update ${id} --expires-at DATE`}`
    found.push(warning('API key', `${id} works for ${Math.max(0, days)} more days`, cure))
  }
  return found.length > 0 ? found : [ok('API key', id)]
}

/** What the node says of itself and its channels. */
export async function state(
  client: FulmenClient,
  { scopes }: Key,
  closeBeforeExpiry: number,
): Promise<{ readonly findings: readonly Finding[]; readonly height: number | null }> {
  const may = (scope: string): boolean => scopes.includes('*') || scopes.includes(scope)
  const ready = await client.ready()
  const readiness =
    ready.status === 'ok'
      ? [ok('ready', 'the chain is in step and the store takes writes')]
      : ready.reasons.map((reason) =>
          /disk/.test(reason)
            ? problem('ready', reason, 'free some space on the disk of the data directory')
            : problem(
                'ready',
                `the chain is not in step: ${reason}`,
                'see that the Bitcoin node runs and is reachable',
              ),
        )
  const height = may('node:read') ? (await client.node()).blockHeight : null
  if (height === null || !may('channels:read')) return { findings: readiness, height }
  const [channels, peers] = await Promise.all([whole(client.channels.list), whole(client.peers.list)])
  const wallet = may('wallet:read') ? await client.wallet.get() : null
  return {
    findings: [...readiness, ...channelFindings({ channels, peers, wallet, height, closeBeforeExpiry })],
    height,
  }
}

/** The node's clock against ours, by the Date of an answer. */
export async function clock(url: string, fetchIt: typeof fetch): Promise<readonly Finding[]> {
  const before = Date.now()
  const response = await fetchIt(`${url}/health/live`)
  await response.body?.cancel()
  const theirs = Date.parse(response.headers.get('date') ?? '')
  if (Number.isNaN(theirs)) return []
  const skew = theirs - (before + Date.now()) / 2
  if (Math.abs(skew) <= SKEW_MS) return [ok('clock', 'as here')]
  const message = `the clock of the node is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} the one here`
  return [problem('clock', message, 'let NTP set both: invoices and keys live by them')]
}

/** The certificate that is served, whoever made it. */
export async function certificate(url: string, now: number): Promise<readonly Finding[]> {
  const { protocol, hostname, port } = new URL(url)
  if (protocol !== 'https:') return []
  const until = await new Promise<number>((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '')
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false }, () => {
      resolve(Date.parse(socket.getPeerCertificate().valid_to))
      socket.destroy()
    })
    socket.on('error', reject)
  })
  const days = Math.floor((until - now) / DAY_MS)
  const cure = 'renew the files of --tls-cert and --tls-key: the node reads them again by itself'
  if (days < 0) return [problem('TLS certificate', `it expired ${-days} days ago`, cure)]
  if (days < SOON_DAYS) return [warning('TLS certificate', `it expires in ${days} days`, cure)]
  return [ok('TLS certificate', `good for ${days} days`)]
}

/** Alerts among the last events, one finding for each code. */
export async function alerts(client: FulmenClient): Promise<readonly Finding[]> {
  const last = await client.lastEventId()
  const signal = AbortSignal.timeout(EVENTS_MS) // the last event may be one that this key does not see
  const found = new Map<string, { readonly event: Event; readonly count: number }>()
  for await (const event of client.events({ since: Math.max(0, last - EVENTS), signal })) {
    const { code } = event.data
    if (event.type === 'node.alert') {
      const name = String(code)
      found.set(name, { event, count: (found.get(name)?.count ?? 0) + 1 })
    }
    if (event.id !== null && event.id >= last && last > 0) break
  }
  if (found.size === 0) return [ok('alerts', `none in the last ${EVENTS} events`)]
  return [...found].slice(0, ALERTS_SHOWN).map(([code, { event, count }]) => {
    const times = count === 1 ? '' : ` (${count} times)`
    const text = `${code}${times}, last ${event.at}: ${String(event.data.message ?? '')}`
    return warning('alerts', text, 'see the log of the node at that time')
  })
}
