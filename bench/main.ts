import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cryptoText, measureCrypto } from './crypto.ts'
import { type Suite, suiteText } from './harness.ts'
import { measureLists } from './lists/lists.ts'
import { machine, machineText } from './machine.ts'
import { comparePayments } from './payments/compare.ts'
import { commitmentSuite } from './small/commitment.ts'
import { interpreterSuite } from './small/interpreter.ts'
import { invoiceSuite } from './small/invoice.ts'
import { journalSuite } from './small/journal.ts'
import { noiseSuite } from './small/noise.ts'
import { onionSuite } from './small/onion.ts'
import { routingSuite } from './small/routing.ts'
import { wireSuite } from './small/wire.ts'

const USAGE = `npm run bench                        everything, as tables
npm run bench -- small               the parts of the node
npm run bench -- crypto              every crypto operation, beside other libraries
npm run bench -- lists               lists, start and answers of a node with a million payments
npm run bench -- payments            durable payments between two nodes, beside LDK-WASM
  --json                             one JSON object
  --payments N                       at most so many payments in a run (default 2000); in the history (default 1000000)
  --in-flight 1,50,200               how many are under way
  --channels 1,10                    over how many channels
  --amounts 1000,1000000             millisatoshis
  --rounds N                         times that each run is repeated, in turn (default 1)
  --no-rival                         without LDK-WASM`

const SMALL = [
  wireSuite,
  noiseSuite,
  onionSuite,
  invoiceSuite,
  commitmentSuite,
  interpreterSuite,
  routingSuite,
  journalSuite,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    payments: { type: 'string' },
    'in-flight': { type: 'string', default: '1,50,200' },
    channels: { type: 'string', default: '1,10' },
    amounts: { type: 'string', default: '1000,1000000' },
    rounds: { type: 'string', default: '1' },
    'no-rival': { type: 'boolean', default: false },
  },
})
// The nodes that are measured are of this build, .bench/src, where they look for their version.
const built = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
process.env.FULMEN_MAIN ??= built('../src/cli/main.js')
copyFileSync(built('../../package.json'), built('../package.json'))

const numbers = (text: string): number[] => text.split(',').map(Number)

/** Prints each suite when it is done, or all as one object at the end. */
async function suites(kinds: readonly (() => Promise<Suite | Suite[]>)[]): Promise<void> {
  const done: Suite[] = []
  for (const kind of kinds) {
    const some = [await kind()].flat()
    done.push(...some)
    if (!values.json) for (const suite of some) console.log(suiteText(suite))
  }
  if (values.json) console.log(JSON.stringify({ machine: machine(), suites: done }))
}

async function crypto(): Promise<void> {
  const ops = await measureCrypto()
  console.log(values.json ? JSON.stringify({ machine: machine(), ops }) : cryptoText(ops))
}

const payments = (): Promise<void> =>
  comparePayments({
    json: values.json,
    payments: Number(values.payments ?? 2_000),
    inFlight: numbers(values['in-flight']),
    channels: numbers(values.channels),
    amountsMsat: numbers(values.amounts),
    rounds: Number(values.rounds),
    rival: !values['no-rival'],
  })

const lists = (): Promise<void> => measureLists({ json: values.json, payments: Number(values.payments ?? 1_000_000) })

const [name = 'all'] = positionals
if (!values.json && !values.help) console.log(`${machineText(machine())}\n`)
if (values.help) console.log(USAGE)
else if (name === 'small') await suites(SMALL)
else if (name === 'crypto') await crypto()
else if (name === 'payments') await payments()
else if (name === 'lists') await lists()
else if (name === 'all') {
  await suites(SMALL)
  await crypto()
  await payments()
} else {
  console.error(`there is no benchmark "${name}"\n${USAGE}`)
  process.exitCode = 2
}
