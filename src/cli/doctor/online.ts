import { connect } from 'node:tls'
import { certificateLife, ownKey } from '../../api/checks/access.ts'
import { channelFindings } from '../../api/checks/channels.ts'
import { type Finding, ok, problem, warning } from '../../api/checks/finding.ts'
import { readiness } from '../../api/checks/node.ts'
import type { Key } from '../../api/keySchemas.ts'
import { ApiError, ConnectionError } from '../../client/errors.ts'
import { type FulmenClient, whole } from '../../client/index.ts'

/** Clocks further apart than this make keys, invoices and logs say different things. */
const SKEW_MS = 30_000
const ALERTS_SHOWN = 20
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

function keyFindings(self: Key, now: number): readonly Finding[] {
  const { id, scopes } = self
  const missing = scopes.includes('*') ? [] : NEEDED.filter((scope) => !scopes.includes(scope))
  const life = ownKey(self, now)
  if (missing.length === 0) return [life]
  const message = `${id} has no ${missing.join(', ')}: what they show was not looked at`
  const poor = warning('API key', message, 'run the doctor with a key of the preset readonly')
  return life.level === 'ok' ? [poor] : [poor, life]
}

/** What the node says of itself and its channels. */
export async function state(
  client: FulmenClient,
  { scopes }: Key,
  closeBeforeExpiry: number,
): Promise<{ readonly findings: readonly Finding[]; readonly height: number | null }> {
  const may = (scope: string): boolean => scopes.includes('*') || scopes.includes(scope)
  const ready = readiness(await client.ready())
  const height = may('node:read') ? (await client.node()).blockHeight : null
  if (height === null || !may('channels:read')) return { findings: ready, height }
  const [channels, peers] = await Promise.all([whole(client.channels.list), whole(client.peers.list)])
  const wallet = may('wallet:read') ? await client.wallet.get() : null
  return {
    findings: [...ready, ...channelFindings({ channels, peers, wallet, height, closeBeforeExpiry })],
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
  const life = await new Promise<{ from: number; until: number }>((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '')
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false }, () => {
      const { valid_from, valid_to } = socket.getPeerCertificate()
      resolve({ from: Date.parse(valid_from), until: Date.parse(valid_to) })
      socket.destroy()
    })
    socket.on('error', reject)
  })
  return [certificateLife(life, now)]
}

/** What the node itself has raised an alert for, beside what was found just now. */
export async function alerts(client: FulmenClient, found: readonly Finding[]): Promise<readonly Finding[]> {
  const raised = await whole((page) => client.alerts.list({ ...page, state: 'raised' }))
  if (raised.length === 0) return [ok('alerts', 'the node has raised none')]
  const known = new Set(found.map(({ alert }) => alert && `${alert.code} ${alert.about}`))
  const further = raised.filter(({ code, about }) => !known.has(`${code} ${about}`))
  return further.slice(0, ALERTS_SHOWN).map(({ code, count, severity, reason, cure, raisedAt }) => {
    const times = count === 1 ? '' : ` (${count} times)`
    return { check: 'alerts', level: severity, message: `${code}${times}, since ${raisedAt}: ${reason}`, cure }
  })
}
