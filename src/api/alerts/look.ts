import { X509Certificate } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { DEFAULT_MARGINS } from '../../node/margins.ts'
import type { ChannelView, NodeService, Page } from '../../node/service.ts'
import { currentOf, type KeyRecord, keyState, lifeOf } from '../auth/keyRecord.ts'
import type { KeyRing } from '../auth/keys.ts'
import { certificateLife, delivery, endingKey } from '../checks/access.ts'
import { channelState, lateHtlcs, reserve } from '../checks/channels.ts'
import { disk } from '../checks/disk.ts'
import type { CheckedCode, Finding } from '../checks/finding.ts'
import { readiness } from '../checks/node.ts'
import { channelJson, walletJson } from '../views.ts'
import { webhookJson } from '../webhooks/view.ts'
import type { Webhooks } from '../webhooks/webhooks.ts'

/** What the checks need besides the node and the API's own records. */
export interface Surroundings {
  /** Absent: the room on its disk is not looked at. */
  readonly dataDir?: string
  /** The margin that the node is configured with, in blocks. */
  readonly closeBeforeExpiry?: number
  /** What is served now, PEM; null without TLS. */
  readonly certificate?: () => string | null
}

export interface LookParts {
  readonly service: NodeService
  readonly keys: KeyRing
  readonly webhooks: Webhooks
  readonly surroundings: Surroundings
  readonly onError: (error: unknown) => void
}

export interface Looked {
  readonly findings: readonly Finding[]
  /** Codes of which nothing is known: the check that finds them failed. */
  readonly unknown: ReadonlySet<string>
}

interface Group {
  readonly codes: readonly CheckedCode[]
  readonly find: () => Promise<readonly Finding[]>
}

/** Other calls have their turn after so many channels. */
const CHANNELS_AT_ONCE = 25

/** Everything that a node can see for itself; the doctor makes the same checks from outside. */
export async function lookAround(parts: LookParts): Promise<Looked> {
  const findings: Finding[] = []
  const unknown = new Set<string>()
  for (const { codes, find } of groups(parts)) {
    try {
      findings.push(...(await find()))
    } catch (error) {
      for (const code of codes) unknown.add(code)
      parts.onError(error)
    }
  }
  return { findings, unknown }
}

function groups({ service, keys, webhooks, surroundings }: LookParts): readonly Group[] {
  const { dataDir, closeBeforeExpiry = DEFAULT_MARGINS.closeBeforeExpiry, certificate } = surroundings
  const now = keys.now()
  return [
    {
      codes: ['CHAIN_BEHIND', 'DISK_LOW'],
      find: async () => [...readyNow(service), ...(dataDir === undefined ? [] : await disk(dataDir))],
    },
    {
      codes: ['CHANNEL_IN_DOUBT', 'CHANNEL_QUARANTINED', 'CHANNEL_WAITS_FOR_PEER', 'HTLC_DEADLINE'],
      find: () => channels(service, closeBeforeExpiry),
    },
    { codes: ['WALLET_RESERVE_SHORT'], find: async () => reserve(walletJson(await service.wallet())) },
    { codes: ['KEY_EXPIRING'], find: async () => keys.entries().flatMap(({ record }) => ending(record, now)) },
    {
      codes: ['WEBHOOK_FAILING', 'WEBHOOK_FAILED'],
      find: async () => webhooks.all().flatMap((hook) => delivery(webhookJson(hook), now)),
    },
    { codes: ['CERTIFICATE_EXPIRING'], find: async () => served(certificate?.() ?? null, now) },
  ]
}

function readyNow(service: NodeService): readonly Finding[] {
  const { ready, reasons, details = reasons } = service.ready()
  return readiness({ status: ready ? 'ok' : 'unready', reasons: [...details] })
}

async function channels(service: NodeService, closeBeforeExpiry: number): Promise<readonly Finding[]> {
  const { blockHeight } = service.info()
  const found: Finding[] = []
  let cursor: string | null = null
  do {
    const request = { limit: CHANNELS_AT_ONCE, ...(cursor !== null && { cursor }) }
    const page: Page<ChannelView> = await service.channels(request, { open: true })
    for (const view of page.items) {
      const channel = channelJson(view)
      const state = channelState(channel)
      if (state) found.push(state)
      found.push(...lateHtlcs(channel, blockHeight, closeBeforeExpiry))
    }
    cursor = page.nextCursor
    if (cursor !== null) await setImmediate()
  } while (cursor !== null)
  return found
}

/** It was told that the present version ends, and no other has come since. */
function ending(record: KeyRecord, now: number): readonly Finding[] {
  const current = currentOf(record)
  const state = keyState(record, now)
  const { until } = lifeOf(record, current)
  if (!current.alerted || !Number.isFinite(until) || state === 'revoked' || state === 'stopped') return []
  return endingKey(record, { until, now })
}

function served(pem: string | null, now: number): readonly Finding[] {
  if (pem === null) return []
  const { validFrom, validTo } = new X509Certificate(pem)
  return [certificateLife({ from: Date.parse(validFrom), until: Date.parse(validTo) }, now)]
}
