import { type Command, Option } from 'commander'
import type { Channel } from '../../api/schemas.ts'
import { decimal, given, integer } from '../arguments.ts'
import { fields, table } from '../output.ts'
import { remote } from '../remote.ts'
import { listCommand, oneCommand } from '../resources.ts'

const channelTable = (channels: readonly Channel[]): string =>
  table(
    ['id', 'peer', 'state', 'usable', 'capacity sat', 'sendable msat', 'receivable msat', 'waits for'],
    channels.map((c) => [
      c.id,
      `${c.peer.slice(0, 16)}…`,
      c.state,
      c.usable,
      c.capacitySat,
      c.sendableMsat,
      c.receivableMsat,
      c.waitsFor,
    ]),
  )

export function register(program: Command): void {
  const channel = program.command('channel').description('channels')
  listCommand(channel, {
    about: 'the channels of the node',
    page: (client, query) => client.channels.list(query),
    table: channelTable,
  })
    .option('--state <state>', 'only in this state: normal, waiting-confirmations, closing, closed …')
    .option('--peer <nodeId>', 'only with this peer')
  oneCommand(channel, 'show', {
    about: 'everything about one channel',
    argument: ['<id>', 'local id, channel id or short channel id'],
    call: (client, id) => client.channels.get(id),
    text: (one) => fields(one),
  })
  registerOpen(channel)
  registerClose(channel)
  registerPolicy(channel)
}

function registerOpen(channel: Command): void {
  channel
    .command('open')
    .description('open a channel')
    .argument('<peer>', 'node id, or nodeId@host:port to connect first')
    .argument('<capacitySat>', 'satoshis', integer)
    .option('--push-msat <msat>', 'give this much to the peer', integer)
    .option('--feerate <sat>', 'satoshis per virtual byte of the funding transaction', decimal)
    .option('--announce', 'announce the channel to the network')
    .addOption(new Option('--type <type>', 'of the commitments').choices(['anchors', 'static_remotekey']))
    .option('--wait <seconds>', 'wait until it can be used', integer)
    .option('--idempotency-key <key>', 'repeat the call with the same key to act once')
    .action(async (peer: string, capacitySat: number, o, command: Command) => {
      const { client, show } = remote(command)
      const { pushMsat, feerate, announce, type, wait, idempotencyKey } = o
      const request = { peer, capacitySat, ...given({ pushMsat, feerateSatPerVbyte: feerate, announce, type }) }
      const opened = await client.channels.open(request, given({ wait, idempotencyKey }))
      show(opened, () => channelTable([opened]))
    })
}

function registerClose(channel: Command): void {
  channel
    .command('close')
    .description('close a channel together with the peer; again while it closes, to raise the fee')
    .argument('<id>', 'local id or channel id')
    .option('--force', 'without the peer: our own coins come back after a delay')
    .addOption(
      new Option('--accept-risk <risk>', 'with --force, of a channel in doubt: publish what may be revoked').choices([
        'losing-the-whole-channel',
      ]),
    )
    .option('--address <address>', 'pay our part to this address')
    .option('--feerate <sat>', 'satoshis per virtual byte', decimal)
    .option('--wait <seconds>', 'wait until it is closed on chain', integer)
    .option('--idempotency-key <key>', 'repeat the call with the same key to act once')
    .action(async (id: string, o, command: Command) => {
      const { client, show } = remote(command)
      const { force, acceptRisk, address, feerate, wait, idempotencyKey } = o
      const request = given({ force, acceptRisk, address, feerateSatPerVbyte: feerate })
      const closing = await client.channels.close(id, request, given({ wait, idempotencyKey }))
      show(closing, () => channelTable([closing]))
    })
}

function registerPolicy(channel: Command): void {
  channel
    .command('policy')
    .description('change what the channel asks of forwarded payments')
    .argument('<id>', 'local id or channel id')
    .option('--fee-base-msat <msat>', 'for each payment', integer)
    .option('--fee-proportional-millionths <ppm>', 'of the amount', integer)
    .option('--cltv-expiry-delta <blocks>', 'time to claim', integer)
    .option('--htlc-minimum-msat <msat>', 'smallest payment', integer)
    .option('--htlc-maximum-msat <msat>', 'largest payment', integer)
    .action(async (id: string, options, command: Command) => {
      const { client, show } = remote(command)
      const { feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta, htlcMinimumMsat, htlcMaximumMsat } = options
      const policy = given({
        feeBaseMsat,
        feeProportionalMillionths,
        cltvExpiryDelta,
        htlcMinimumMsat,
        htlcMaximumMsat,
      })
      const changed = await client.channels.setPolicy(id, policy)
      show(changed, () => fields(changed.policy))
    })
}
