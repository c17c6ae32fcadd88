import { type Command, Option } from 'commander'
import type { Alert } from '../../api/operatorSchemas.ts'
import { table } from '../output.ts'
import { listCommand, oneCommand } from '../resources.ts'

const alertTable = (alerts: readonly Alert[]): string =>
  table(
    ['id', 'severity', 'code', 'about', 'raised', 'cleared', 'acknowledged', 'reason', 'cure'],
    alerts.map((a) => [a.id, a.severity, a.code, a.about, a.raisedAt, a.clearedAt, a.acknowledgedAt, a.reason, a.cure]),
  )

export function register(program: Command): void {
  const alert = program.command('alert').description('what somebody should see to')
  listCommand(alert, {
    about: 'alerts, newest first: what is wrong, what was, and the cure',
    page: (client, query) => client.alerts.list(query),
    table: alertTable,
  }).addOption(new Option('--state <state>', 'only what is wrong now, or what is over').choices(['raised', 'cleared']))
  oneCommand(alert, 'acknowledge', {
    about: 'say that somebody knows; what no check looks for is cleared by it',
    call: (client, id) => client.alerts.acknowledge(id),
    text: (one) => alertTable([one]),
  })
}
