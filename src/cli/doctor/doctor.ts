import { readFileSync } from 'node:fs'
import { disk } from '../../api/checks/disk.ts'
import { type Finding, looking, ok, problem, warning } from '../../api/checks/finding.ts'
import { FulmenClient } from '../../client/index.ts'
import type { ResolvedConfig } from '../../node/config.ts'
import { ConfigError } from '../../node/errors.ts'
import { DEFAULT_MARGINS } from '../../node/margins.ts'
import { CliError } from '../errors.ts'
import { apiUrlFile, type GlobalOptions, keyFor, type Target } from '../remote.ts'
import { backend } from './backend.ts'
import { database } from './database.ts'
import { directory, ports, runtime } from './directory.ts'
import { alerts, certificate, clock, key, state } from './online.ts'

export interface Patient {
  readonly options: GlobalOptions
  /** @throws ConfigError */
  readonly resolve: () => ResolvedConfig
  /** @throws ConfigError */
  readonly target: () => Target
}

/** Looks at everything that can be looked at, and changes nothing. */
export async function examine({ options, resolve, target }: Patient): Promise<readonly Finding[]> {
  const { configured, findings: aboutConfig } = configuration(resolve)
  const findings: Finding[] = [runtime(wantedRuntime()), ...aboutConfig]
  const where = reached(target)
  if (where === null) return findings
  const answer = await answerOf(where)
  const isUp = answer.level === 'ok'
  const config = where.isLocal ? configured?.config : undefined
  if (where.isLocal) findings.push(...(await ofDirectory(where.dataDir)))
  if (config && !isUp) {
    findings.push(...(await looking('database', () => database(config))))
    findings.push(...(await looking('ports', () => ports(config))))
  }
  findings.push(answer)
  const margins = configured?.config.margins ?? DEFAULT_MARGINS
  const visit = isUp ? await atWork(where, options, margins.closeBeforeExpiry) : null
  findings.push(...(visit?.findings ?? []))
  if (config) findings.push(...(await looking('Bitcoin node', () => backend(config, visit?.height ?? null))))
  return findings
}

function configuration(resolve: Patient['resolve']): {
  readonly configured: ResolvedConfig | null
  readonly findings: readonly Finding[]
} {
  try {
    const configured = resolve()
    const { warnings } = configured
    const cautions = warnings.map((text) => warning('configuration', text, 'fulmen config shows what is in force'))
    return { configured, findings: warnings.length > 0 ? cautions : [ok('configuration', 'can be read')] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const cure = 'correct it: the node does not start with it'
    return { configured: null, findings: [problem('configuration', error.message, cure)] }
  }
}

/** A configuration that cannot be read, and no address named elsewhere: there is no node to look at. */
function reached(target: Patient['target']): Target | null {
  try {
    return target()
  } catch (error) {
    if (error instanceof ConfigError) return null
    throw error
  }
}

async function ofDirectory(dataDir: string): Promise<readonly Finding[]> {
  const findings = await looking('data directory', () => directory(dataDir))
  const isUsable = findings.length > 1 || findings[0]?.level === 'ok'
  return isUsable ? [...findings, ...(await looking('disk', () => disk(dataDir)))] : findings
}

/** Whether a Fulmen node answers there; that much needs no key. */
async function answerOf({ url, dataDir, isLocal, fetch: fetchIt }: Target): Promise<Finding> {
  try {
    await new FulmenClient({ url, retries: 0, ...(fetchIt && { fetch: fetchIt }) }).ready()
    return ok('API', url)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (!isLocal) return problem('API', why, 'start it there, or correct --url, --tls-pin or --tls-ca')
    const left = urlLeftBehind(dataDir)
    if (left === null) return warning('API', 'the node is not running', 'fulmen start')
    const message = `${left} is where the node said it is, and it does not answer: it was killed, or hangs`
    return problem('API', message, 'see the end of its log, then fulmen start')
  }
}

/** A node that stops takes this file away. */
function urlLeftBehind(dataDir: string): string | null {
  try {
    return readFileSync(apiUrlFile(dataDir), 'utf8').trim()
  } catch {
    return null
  }
}

interface Visit {
  readonly findings: readonly Finding[]
  /** null: not known. */
  readonly height: number | null
}

async function atWork(target: Target, options: GlobalOptions, closeBeforeExpiry: number): Promise<Visit> {
  const { url, fetch: fetchIt } = target
  const findings = [
    ...(await looking('clock', () => clock(url, fetchIt ?? fetch))),
    ...(await looking('TLS certificate', () => certificate(url, Date.now()))),
  ]
  const access = keyOrNone(options, target)
  if (access instanceof CliError) {
    const cure = 'fulmen key reset on the machine of the node, or a key in FULMEN_KEY'
    return { findings: [...findings, problem('API key', access.message, cure)], height: null }
  }
  let height: number | null = null
  const look = async (): Promise<readonly Finding[]> => {
    const client = new FulmenClient({ url, ...access, rotate: false, ...(fetchIt && { fetch: fetchIt }) })
    const held = await key(client, Date.now())
    if (!held.key) return held.findings
    const found = await state(client, held.key, closeBeforeExpiry)
    height = found.height
    const all = [...held.findings, ...found.findings]
    const raised = held.key.scopes.some((scope) => scope === '*' || scope === 'node:read')
    return raised ? [...all, ...(await alerts(client, [...findings, ...all]))] : all
  }
  findings.push(...(await looking('node', look)))
  return { findings, height }
}

function keyOrNone(options: GlobalOptions, where: Target): ReturnType<typeof keyFor> | CliError {
  try {
    return keyFor(options, where)
  } catch (error) {
    if (error instanceof CliError) return error
    throw error
  }
}

function wantedRuntime(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { engines: { node: string } }).engines.node
}
