#!/usr/bin/env node
import { onReaderGone } from './output.ts'
import { commandOf, main } from './program.ts'

const argv = process.argv.slice(2)
/** What they do goes on when nobody listens. */
const isServer = ['start', 'chain', 'demo', 'restore'].includes(commandOf(argv) ?? '')
for (const output of [process.stdout, process.stderr]) {
  onReaderGone(output, () => {
    if (!isServer) process.exit()
  })
}

process.exitCode = await main(argv)
