import type { Command } from 'commander'
import type { IssuedWebhook, UpdateWebhook, Webhook, WebhookDelivery } from '../../api/webhookSchemas.ts'
import { collect, given, integer } from '../arguments.ts'
import { fields, notice, table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, oneCommand } from '../resources.ts'

const hookTable = (hooks: readonly Webhook[]): string =>
  table(
    ['id', 'name', 'state', 'url', 'types', 'last event', 'key'],
    hooks.map((h) => [h.id, h.name, h.state, h.url, h.types?.join(' ') ?? 'all', h.lastEventId, h.keyId]),
  )

const deliveryTable = (deliveries: readonly WebhookDelivery[]): string =>
  table(
    ['seq', 'at', 'type', 'event', 'attempt', 'status', 'ms', 'error'],
    deliveries.map((d) => [d.seq, d.at, d.type, d.eventId, d.attempt, d.status, d.latencyMs, d.error]),
  )

/** The secret alone on standard output, so that it can be put into a file. */
const issued = (hook: IssuedWebhook): string => {
  notice(`webhook ${hook.id}; the secret is shown this once`)
  return hook.secret
}

interface Wishes {
  readonly url?: string
  readonly type?: readonly string[]
  readonly name?: string
  readonly enable?: boolean
  readonly disable?: boolean
}

const wishesOf = ({ url, type, name, enable, disable }: Wishes): UpdateWebhook =>
  given({ url, types: type, name, enabled: enable ? true : disable ? false : undefined }) as UpdateWebhook

const wishes = (command: Command): Command =>
  command
    .option('--type <type>', 'an event type, payment.* for all of a kind; may be given several times', collect)
    .option('--name <name>', 'a name')

export function register(program: Command): void {
  const webhook = program.command('webhook').description('events posted to other programs')
  registerChanges(webhook)
  listCommand(webhook, {
    about: 'webhooks of this key, newest first',
    page: (client, query) => client.webhooks.list(query),
    table: hookTable,
  })
  oneCommand(webhook, 'show', {
    about: 'everything about one webhook',
    call: (client, id) => client.webhooks.get(id),
    text: (hook) => fields(hook),
  })
  webhook
    .command('deliveries')
    .description('every attempt, newest first')
    .argument('<id>')
    .option('--limit <n>', 'at most so many', integer, 50)
    .option('--cursor <cursor>', 'from the page before')
    .action(async (id: string, options, command: Command) => {
      const { client, show } = remote(command)
      const page = await client.webhooks.deliveries(id, given(options))
      show(page, () => deliveryTable(page.items))
    })
  oneCommand(webhook, 'ping', {
    about: 'post a message now, and say what the receiver answered',
    call: (client, id) => client.webhooks.ping(id),
    text: (delivery) => deliveryTable([delivery]),
  })
  webhook
    .command('redeliver')
    .description('post the event of a delivery once more')
    .argument('<id>')
    .argument('<seq>', 'from the delivery log', integer)
    .action(async (id: string, seq: number, _options, command: Command) => {
      const { client, show } = remote(command)
      const delivery = await client.webhooks.redeliver(id, seq)
      show(delivery, () => deliveryTable([delivery]))
    })
}

function registerChanges(webhook: Command): void {
  wishes(
    webhook.command('create').description('have events posted to an address; prints the secret').argument('<url>'),
  ).action(async (url: string, options: Wishes, command: Command) => {
    const { client, show } = remote(command)
    const hook = await client.webhooks.create({ ...wishesOf(options), url })
    show(hook, () => issued(hook))
  })
  wishes(webhook.command('update').description('change a webhook').argument('<id>'))
    .option('--url <url>', 'another address')
    .option('--enable', 'switch it on, or begin anew one that was given up')
    .option('--disable', 'switch it off')
    .action(async (id: string, options: Wishes, command: Command) => {
      const { client, show } = remote(command)
      const hook = await client.webhooks.update(id, wishesOf(options))
      show(hook, () => fields(hook))
    })
  webhook
    .command('rotate')
    .description('a new secret, printed; the one before signs as well for a while')
    .argument('<id>')
    .option('--grace <seconds>', 'how long', integer)
    .action(async (id: string, { grace }: { grace?: number }, command: Command) => {
      const { client, show } = remote(command)
      const hook = await client.webhooks.rotate(id, grace)
      show(hook, () => issued(hook))
    })
  webhook
    .command('delete')
    .description('delete a webhook and its delivery log')
    .argument('<id>')
    .action(async (id: string, _options, command: Command) => {
      const { client, show } = remote(command)
      await client.webhooks.delete(id)
      show({ id }, () => `deleted ${id}`)
    })
}
