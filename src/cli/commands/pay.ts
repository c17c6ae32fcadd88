import type { Command } from 'commander'
import type { Payment } from '../../api/schemas.ts'
import { given, integer } from '../arguments.ts'
import { EXIT } from '../errors.ts'
import { notice } from '../output.ts'
import { remote } from '../remote.ts'

const NODE_ID = /^0[23][0-9a-f]{64}$/i
const DEFAULT_WAIT = 60

export function register(program: Command): void {
  program
    .command('pay')
    .description('pay an invoice or a node, and wait for the outcome; exit code 0: paid, 1: failed, 4: still pending')
    .argument('<destination>', 'a BOLT 11 invoice or a node id')
    .option('--amount-msat <msat>', 'for an invoice without an amount, or a node', integer)
    .option('--max-fee-msat <msat>', 'pay no more in fees', integer)
    .option('--max-parts <n>', 'split into at most so many', integer)
    .option('--timeout <seconds>', 'stop trying after', integer)
    .option('--wait <seconds>', 'for the outcome; 0: return at once', integer, DEFAULT_WAIT)
    .option('--idempotency-key <key>', 'repeat the call with the same key to pay once')
    .action(async (destination: string, o, command: Command) => {
      const { client, show } = remote(command)
      const { amountMsat, maxFeeMsat, maxParts, timeout, wait, idempotencyKey } = o
      const target = NODE_ID.test(destination) ? { nodeId: destination } : { bolt11: destination }
      const limits = given({ amountMsat, maxFeeMsat, maxParts, timeoutSeconds: timeout })
      const payment = await client.payments.send({ ...target, ...limits }, given({ wait, idempotencyKey }))
      show(payment, () => outcome(payment))
      if (payment.status === 'failed') process.exitCode = EXIT.failed
      if (payment.status === 'pending') {
        process.exitCode = EXIT.pending
        notice(
          `The payment goes on and may still succeed: follow it with "fulmen payment show ${payment.paymentHash}", or end further attempts with "fulmen payment cancel ${payment.paymentHash}".`,
        )
      }
    })
}

function outcome(payment: Payment): string {
  const of = `${payment.amountMsat} msat to ${payment.nodeId ?? 'an unknown node'}`
  if (payment.status === 'succeeded') return `paid ${of}, fee ${payment.feeMsat} msat\npreimage ${payment.preimage}`
  if (payment.status === 'failed')
    return `failed: ${payment.failure?.detail ?? 'no reason given'} [${payment.failure?.code}]`
  return `pending: ${of}`
}
