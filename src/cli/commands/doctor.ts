import type { Command } from 'commander'
import type { Finding } from '../../api/checks/finding.ts'
import { printable } from '../../base/bytes.ts'
import { examine } from '../doctor/doctor.ts'
import { EXIT } from '../errors.ts'
import { addNodeOptions, nodeConfig } from '../nodeOptions.ts'
import { show } from '../output.ts'
import { type GlobalOptions, targetOf } from '../remote.ts'

const MARKS: Readonly<Record<Finding['level'], string>> = { ok: '✓', warning: '!', problem: '✗' }

export function register(program: Command): void {
  addNodeOptions(program.command('doctor').description('find what is wrong with a node, and say the cure')).action(
    async (_options, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>()
      const findings = await examine({
        options,
        resolve: () => nodeConfig(command),
        target: () => targetOf(options),
      })
      const isHealthy = findings.every((f) => f.level !== 'problem')
      show(options.json === true, { healthy: isHealthy, findings }, () => findings.map(line).join('\n'))
      if (!isHealthy) process.exitCode = EXIT.failed
    },
  )
}

/** Texts may come from a peer: never onto a terminal as they are. */
function line({ check, level, message, cure }: Finding): string {
  const text = `${MARKS[level]} ${check}: ${printable(message, 1_000)}`
  return cure === null ? text : `${text}\n    → ${printable(cure, 1_000)}`
}
