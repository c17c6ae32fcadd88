import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type NodeId, nodeId } from '../../src/base/ids.ts'

/** A real LDK node in a child process on loopback, for the tests in which two of our own nodes would prove little. */
export interface LdkPeer {
  readonly nodeId: NodeId
  readonly host: string
  readonly port: number
  /** One command of ldk/commands.mjs. Rejects with LDK's own words. */
  cmd<C extends keyof LdkResults>(name: C, args?: Readonly<Record<string, unknown>>): Promise<LdkResults[C]>
  /** The first event of that name that matches and that no earlier call took; rejects when none comes in 20 s. */
  waitFor(event: string, matches?: (e: LdkEvent) => boolean): Promise<LdkEvent>
  /** Calls back for every transaction that LDK broadcasts; those of one package come one after the other. */
  onBroadcast(listener: (tx: LdkBroadcast) => void): void
  /** Calls back for every event of LDK's, before a waiting waitFor() takes it. */
  onEvent(listener: (event: LdkEvent) => void): void
  /** Connects the next block of LDK's best chain (it starts at regtest's genesis), and returns when LDK has acted on it. */
  feedBlock(rawBlockHex: string, height: number): Promise<void>
  /** Ends the process; safe to call twice. */
  stop(): Promise<void>
}

export interface LdkOptions {
  /** 32 B hex; random when absent. */
  readonly seed?: string
  readonly alias?: string
  readonly anchors?: boolean
  readonly zeroConf?: boolean
  readonly scidPrivacy?: boolean
  readonly minDepth?: number
  readonly toSelfDelay?: number
  readonly maxHtlcs?: number
  /** sat per 1,000 weight, for every target. */
  readonly feerate?: number
  /** false: incoming payments wait for the commands `claim` and `fail`. */
  readonly autoclaim?: boolean
  readonly log?: 'off' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
}

export interface LdkEvent {
  readonly event: string
  readonly [key: string]: unknown
}
export interface LdkBroadcast {
  readonly txid: string
  readonly tx: string
  /** How many transactions belong together. */
  readonly package: number
}
export interface LdkChannel {
  readonly channel_id: string
  readonly pubkey: string
  readonly sat: number
  readonly outbound_msat: number
  readonly inbound_msat: number
  readonly next_out_max_msat: number
  readonly ready: boolean
  readonly usable: boolean
  readonly announced: boolean
  readonly initiator: boolean
  readonly scid: number | null
  readonly confirmations: number | null
  readonly feerate: number | null
  readonly type: string | null
  readonly anchors: boolean
  readonly in_htlcs: number
  readonly out_htlcs: number
}

export interface LdkBalance {
  readonly kind: string
  /** What LDK takes for its own of it. */
  readonly sat: number
  /** In all; and of an HTLC its payment hash. */
  readonly amount: number
  readonly hash: string | null
}

type Done = Readonly<Record<string, never>>
interface Sent {
  readonly payment_id: string
  readonly hash: string
}
/** What each command answers. */
export interface LdkResults {
  getinfo: {
    readonly pubkey: string
    readonly port: number
    readonly height: number
    readonly tip: string
    readonly peers: number
    readonly channels: number
    readonly wallet_script: string
    readonly wallet_sat: number
    /** Hex, as in init. */
    readonly features: string
  }
  /** { pubkey, host?, port } */
  connect: Done
  /** { pubkey } */
  disconnect: Done
  list_peers: readonly { readonly pubkey: string; readonly inbound: boolean; readonly features: string }[]
  /** { pubkey, sat, push_msat?, public?, anchors? }; then the event FundingGenerationReady */
  open_channel: { readonly temp_channel_id: string }
  /** { temp_channel_id, tx } */
  funding: Done
  list_channels: readonly LdkChannel[]
  /** { channel, force? } */
  close: Done
  balances: readonly LdkBalance[]
  /** { msat?, description?, expiry?, hash? } */
  create_invoice: { readonly invoice: string; readonly hash: string; readonly secret: string }
  /** { invoice }; null where LDK refuses it. */
  decode_invoice: {
    readonly payee: string
    readonly hash: string
    readonly secret: string
    readonly msat: string | null
    readonly timestamp: number
    readonly expiry: number
    readonly final_delta: number
    readonly fallbacks: number
    /** Of each hint its hops: node, channel, base, rate, delta, with commas between. */
    readonly hints: readonly (readonly string[])[]
  } | null
  create_invoices: { readonly invoices: readonly string[] }
  /** { invoice, msat? } or { payee, hash, secret, msat, final_cltv? } */
  pay: Sent
  /** { pubkey, msat } */
  keysend: Sent
  list_payments: readonly (Sent & { readonly status: string })[]
  /** { hash } */
  claim: Done
  fail: Done
  /** { on } */
  autoclaim: Done
  create_offer: { readonly offer: string }
  pay_offer: { readonly payment_id: string }
  announce_node: Done
  graph: { readonly channels: number; readonly nodes: number }
  /** { height, block } */
  block: { readonly height: number }
  /** { blocks: [{ height, block }] } */
  blocks: { readonly height: number }
  /** { sat_per_kw } */
  set_feerate: Done
  quiet: Done
  bench_pay: Readonly<Record<string, number | Readonly<Record<string, number>>>>
  stats: Readonly<Record<string, number>>
  stop: Done
}

const PROGRAM = fileURLToPath(new URL('./ldk/ldk-peer.mjs', import.meta.url))
const EVENT_LIMIT_MS = 20_000

const flags = (o: LdkOptions): string[] =>
  Object.entries(o).map(([name, value]) => {
    const text = typeof value === 'boolean' ? (value ? '1' : '0') : String(value)
    return `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}=${text}`
  })

/** Starts the process and resolves when it listens. */
export async function startLdkPeer(options: LdkOptions = {}): Promise<LdkPeer> {
  const child = spawn(process.execPath, [PROGRAM, ...flags(options)], { stdio: ['pipe', 'pipe', 'pipe'] })
  const lines = new JsonLines(child)
  const hello = await lines.waitFor('listening', () => true)
  return {
    nodeId: nodeId(String(hello.pubkey)),
    host: '127.0.0.1',
    port: Number(hello.port),
    cmd: (name, args) => lines.call(name, args ?? {}) as Promise<never>,
    waitFor: (event, matches = () => true) => lines.waitFor(event, matches),
    onBroadcast: (listener) => void lines.broadcastListeners.push(listener),
    onEvent: (listener) => void lines.eventListeners.push(listener),
    async feedBlock(block, height) {
      await lines.call('block', { block, height })
      await lines.call('getinfo', {}) // what the block set off has been worked off by the time this is answered
    },
    stop: () => lines.stop(),
  }
}

interface Call {
  readonly name: string
  resolve(result: unknown): void
  reject(error: Error): void
}

/** Commands to the child's stdin, answers and events from its stdout, the end of its stderr for error messages. */
class JsonLines {
  readonly broadcastListeners: ((tx: LdkBroadcast) => void)[] = []
  readonly eventListeners: ((event: LdkEvent) => void)[] = []
  readonly #child: ChildProcess
  readonly #events: LdkEvent[] = []
  readonly #looking = new Set<() => void>()
  readonly #calls = new Map<number, Call>()
  readonly #exited: Promise<void>
  #nextId = 1
  #stderr = ''
  #dead = false

  constructor(child: ChildProcess) {
    this.#child = child
    createInterface({ input: child.stdout! }).on('line', (line) => this.#take(JSON.parse(line)))
    child.stderr!.on('data', (text) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-2000)
    })
    child.stdin!.on('error', () => undefined) // a dead child shows as its exit
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()))
    void this.#exited.then(() => {
      this.#dead = true
      for (const call of this.#calls.values()) call.reject(this.#gone(call.name))
      this.#calls.clear()
      for (const look of [...this.#looking]) look()
    })
  }

  call(name: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#dead) return Promise.reject(this.#gone(name))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { name, resolve, reject })
      this.#child.stdin!.write(`${JSON.stringify({ ...args, id, cmd: name })}\n`)
    })
  }

  waitFor(name: string, matches: (e: LdkEvent) => boolean): Promise<LdkEvent> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(limit)
        this.#looking.delete(look)
        settle()
      }
      const look = (): void => {
        const i = this.#events.findIndex((e) => e.event === name && matches(e))
        if (i >= 0) end(() => resolve(this.#events.splice(i, 1)[0]!))
        else if (this.#dead) end(() => reject(this.#gone(`event ${name}`)))
      }
      const limit = setTimeout(() => {
        const seen = this.#events.map((e) => e.event).join(', ')
        end(() => reject(new Error(`LDK gave no ${name} in ${EVENT_LIMIT_MS} ms; it gave: ${seen || 'nothing'}`)))
      }, EVENT_LIMIT_MS)
      this.#looking.add(look)
      look()
    })
  }

  async stop(): Promise<void> {
    if (!this.#dead) this.#child.kill('SIGKILL')
    await this.#exited
  }

  #take(m: LdkEvent & { id?: number; ok?: boolean; result?: unknown; error?: string }): void {
    if (m.event !== undefined) {
      if (m.event === 'broadcast')
        for (const listener of this.broadcastListeners) listener(m as unknown as LdkBroadcast)
      for (const listener of this.eventListeners) listener(m)
      this.#events.push(m)
      for (const look of [...this.#looking]) look()
      return
    }
    const call = this.#calls.get(m.id ?? -1)
    this.#calls.delete(m.id ?? -1)
    if (m.ok) call?.resolve(m.result)
    else call?.reject(new Error(`LDK ${call.name}: ${m.error}`))
  }

  #gone(what: string): Error {
    return new Error(`LDK is not running (${what}). Its last words: ${this.#stderr || 'none'}`)
  }
}
