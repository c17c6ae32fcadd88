import type { Command } from 'commander'
import { type AuditHead, followChain, GENESIS } from '../../api/auth/auditChain.ts'
import type { AuditEntry } from '../../api/keySchemas.ts'
import type { FulmenClient } from '../../client/index.ts'
import { CliError } from '../errors.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, recordOptions } from '../resources.ts'

const PAGE = 500

export function register(program: Command): void {
  const audit = program.command('audit').description('the audit log: changes, and calls that were refused')
  const list = listCommand(audit, {
    about: 'newest first',
    page: (client, query) => client.audit(query),
    table: auditTable,
  })
  recordOptions(list)
  audit
    .command('verify')
    .description('go through the whole log and check that no entry was changed, added or removed')
    .option('--expect <seq:hash>', 'the head that an earlier run printed: must still be part of the log')
    .action(async ({ expect }: { expect?: string }, command: Command) => {
      const { client, show } = remote(command)
      const head = await verifyLog(client, expect === undefined ? GENESIS : headOf(expect))
      const text = `${head.seq}:${head.hash}`
      show({ ok: true, ...head }, () => `the log is whole: ${head.seq} entries\nhead ${text}`)
    })
}

const auditTable = (entries: readonly AuditEntry[]): string =>
  table(
    ['seq', 'at', 'action', 'key', 'version', 'address', 'target', 'detail'],
    entries.map((e) => [
      String(e.seq),
      e.at,
      e.action,
      e.keyId,
      e.version,
      e.address,
      e.target,
      JSON.stringify(e.detail),
    ]),
  )

function headOf(text: string): AuditHead {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text)
  if (!match) throw new CliError('--expect takes what "fulmen audit verify" printed: seq:hash')
  return { seq: Number(match[1]), hash: match[2]! }
}

/**
 * Hashes every entry again, here: the node is not asked whether its log is right.
 * @throws CliError that names the first entry that does not fit
 */
async function verifyLog(client: FulmenClient, expected: AuditHead): Promise<AuditHead> {
  // The chain is followed from its beginning; pages come from its end.
  const pages: AuditEntry[][] = []
  const first = await client.audit({ limit: PAGE })
  pages.push(first.items)
  for (let cursor = first.nextCursor; cursor !== null; ) {
    const page = await client.audit({ limit: PAGE, cursor })
    pages.push(page.items)
    cursor = page.nextCursor
  }
  const entries = pages.flat().reverse()
  const { head, fault } = followChain(entries)
  if (fault !== null) throw new CliError(`the log is broken at ${fault.seq}: ${fault.what}`)
  if (head.seq !== first.head.seq || head.hash !== first.head.hash) {
    throw new CliError(`the log is broken: it ends at ${head.seq}, and ${first.head.seq} was the last entry written`)
  }
  if (expected.seq > 0 && entries[expected.seq - 1]?.hash !== expected.hash) {
    throw new CliError(`the log is not the one of the expected head: its entry ${expected.seq} is another`)
  }
  return head
}
