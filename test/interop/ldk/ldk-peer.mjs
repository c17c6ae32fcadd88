// A regtest Lightning node on LDK (npm `lightningdevkit`, WASM), driven by JSON lines: the other end of the interop tests.
//   node ldk-peer.mjs --port 9735 --seed <64 hex> [options]      (see options.mjs)
// stdin:  {"id":1,"cmd":"getinfo", ...args}          one command a line (see commands.mjs)
// stdout: {"id":1,"ok":true,"result":{...}} | {"id":1,"ok":false,"error":"..."}   and  {"event":"...", ...}
import readline from 'node:readline'
import { parseArgs } from 'node:util'
import { loadLdk } from './bindings.mjs'
import { commands } from './commands.mjs'
import { LdkNode } from './node.mjs'
import { options } from './options.mjs'

const write = (o) => process.stdout.write(`${JSON.stringify(o, (_k, v) => (typeof v === 'bigint' ? Number(v) : v))}\n`)
const fatal = (e) => {
  write({ event: 'fatal', error: String(e?.stack ?? e) })
  process.exit(1)
}

async function run(node, m) {
  try {
    if (!Object.hasOwn(commands, m.cmd)) throw new Error(`unknown command ${m.cmd}`)
    write({ id: m.id, ok: true, result: await commands[m.cmd](node, m) })
  } catch (e) {
    write({ id: m.id, ok: false, error: String(e?.message ?? e) })
    if (e instanceof WebAssembly.RuntimeError) fatal(e) // a Rust panic: nothing in this instance can be trusted
  }
  node.kick()
}

const { values } = parseArgs({ options })
const banner = await loadLdk()
const node = new LdkNode(values, write)
process.on('uncaughtException', fatal)
await node.start()
write({ event: 'listening', pubkey: node.nodeId, port: node.port, banner })
for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim()) void run(node, JSON.parse(line))
}
// stdin is closed: whoever started us is gone
node.stop()
process.exit(0)
