import { type Command, Option } from 'commander'
import type { Alert } from '../../api/operatorSchemas.ts'
import { given, integer } from '../arguments.ts'
import { table } from '../output.ts'
import { remote } from '../remote.ts'

const alertTable = (alerts: readonly Alert[]): string =>
  table(
    ['id', 'severity', 'code', 'about', 'raised', 'cleared', 'acknowledged', 'reason', 'cure'],
    alerts.map((a) => [a.id, a.severity, a.code, a.about, a.raisedAt, a.clearedAt, a.acknowledgedAt, a.reason, a.cure]),
  )

export function register(program: Command): void {
  const alert = program.command('alert').description('what somebody should see to')
  alert
    .command('list')
    .description('alerts, newest first: what is wrong, what was, and the cure')
    .addOption(new Option('--state <state>', 'only what is wrong now, or what is over').choices(['raised', 'cleared']))
    .option('--limit <n>', 'at most so many', integer, 100)
    .option('--cursor <cursor>', 'from the page before')
    .action(async (options, command: Command) => {
      const { client, show } = remote(command)
      const page = await client.alerts.list(given(options))
      show(page, () => alertTable(page.items))
    })
  alert
    .command('acknowledge')
    .description('say that somebody knows; what no check looks for is cleared by it')
    .argument('<id>')
    .action(async (id: string, _options, command: Command) => {
      const { client, show } = remote(command)
      const one = await client.alerts.acknowledge(id)
      show(one, () => alertTable([one]))
    })
}
