import type { NodeId } from '../base/ids.ts'
import { type Backoff, backoffDelay } from './backoff.ts'
import type { Clock } from './clock.ts'

export interface KeeperOptions {
  readonly clock: Clock
  readonly backoff: Backoff
  /** 0 ≤ random < 1. */
  readonly jitter: () => number
  readonly isConnected: (nodeId: NodeId) => boolean
  /** Settles when the attempt has an outcome; a success is also reported by connected(). */
  readonly dial: (nodeId: NodeId, host: string, port: number) => Promise<unknown>
}

interface Kept {
  host: string
  port: number
  failures: number
  dialling: boolean
  connectedAt: number | null
  cancelWait: (() => void) | null
}

/** Brings back the connections that the node wants: at once the first time, with growing waits after that. */
export class Keeper {
  readonly #options: KeeperOptions
  readonly #kept = new Map<NodeId, Kept>()

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  has(nodeId: NodeId): boolean {
    return this.#kept.has(nodeId)
  }

  /** Wants the peer connected from now on; a new address is what the next attempt uses, without more waiting. */
  keep(nodeId: NodeId, host: string, port: number): void {
    const known = this.#kept.get(nodeId)
    if (known === undefined) {
      const connectedAt = this.#options.isConnected(nodeId) ? this.#options.clock.now() : null
      const kept = { host, port, failures: 0, dialling: false, connectedAt, cancelWait: null }
      this.#kept.set(nodeId, kept)
      this.#try(nodeId, kept)
    } else if (known.host !== host || known.port !== port) {
      Object.assign(known, { host, port, failures: 0 })
      if (known.cancelWait === null) return
      known.cancelWait()
      known.cancelWait = null
      this.#try(nodeId, known)
    }
  }

  /** No more attempts; a connection that stands is left alone. */
  drop(nodeId: NodeId): void {
    this.#kept.get(nodeId)?.cancelWait?.()
    this.#kept.delete(nodeId)
  }

  connected(nodeId: NodeId): void {
    const kept = this.#kept.get(nodeId)
    if (kept === undefined) return
    kept.cancelWait?.()
    kept.cancelWait = null
    kept.connectedAt = this.#options.clock.now()
  }

  disconnected(nodeId: NodeId): void {
    const kept = this.#kept.get(nodeId)
    if (kept === undefined || kept.connectedAt === null) return
    if (this.#options.clock.now() - kept.connectedAt >= this.#options.backoff.stableMs) kept.failures = 0
    kept.connectedAt = null
    this.#wait(nodeId, kept)
  }

  close(): void {
    for (const kept of this.#kept.values()) kept.cancelWait?.()
    this.#kept.clear()
  }

  #try(nodeId: NodeId, kept: Kept): void {
    if (kept.dialling || this.#options.isConnected(nodeId)) return
    kept.dialling = true
    const done = (): void => {
      kept.dialling = false
      this.#wait(nodeId, kept)
    }
    this.#options.dial(nodeId, kept.host, kept.port).then(done, done)
  }

  /** Waits for the next attempt, unless there is a connection, or one under way. */
  #wait(nodeId: NodeId, kept: Kept): void {
    const { backoff, clock, jitter, isConnected } = this.#options
    if (this.#kept.get(nodeId) !== kept || kept.cancelWait !== null || kept.dialling || isConnected(nodeId)) return
    const delay = backoffDelay(backoff, kept.failures, jitter())
    kept.failures++
    kept.cancelWait = clock.schedule(delay, () => {
      kept.cancelWait = null
      this.#try(nodeId, kept)
    })
  }
}
