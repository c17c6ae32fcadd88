import type { Health } from '../schemas.ts'
import { type Finding, ok, problem } from './finding.ts'

/** What keeps a node from working as a whole, in its own words. */
export function readiness({ status, reasons }: Health): readonly Finding[] {
  if (status === 'ok') return [ok('ready', 'the chain is in step and the store takes writes')]
  return reasons.map((reason) =>
    /disk/.test(reason)
      ? problem('ready', reason, 'free some space on the disk of the data directory', {
          code: 'DISK_LOW',
          about: null,
        })
      : problem('ready', `the chain is not in step: ${reason}`, 'see that the Bitcoin node runs and is reachable', {
          code: 'CHAIN_BEHIND',
          about: null,
        }),
  )
}
