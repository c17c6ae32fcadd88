import { concatBytes, EMPTY } from '../base/bytes.ts'
import type { Turns } from './turns.ts'

/** As much as the operating system hands over at once: more is there, and would be handed over before anything else is done. */
const FULL_READ = 64 * 1024

export interface IntakeOptions {
  readonly socket: { pause(): unknown; resume(): unknown }
  /** Those of the connection as it is now; null: there is nobody to wait for. */
  readonly turns: () => Turns | null
  /** Opens some of what has been read; returns what is left. */
  readonly open: (unread: Uint8Array) => Uint8Array
}

/** The bytes of a connection on their way from the socket, which is not read from while some of them wait for their turn. */
export class Intake {
  readonly #options: IntakeOptions
  #unread: Uint8Array = EMPTY
  #hasFullRead = false
  #isPaused = false
  #isStopped = false
  #isOver = false

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  received(chunk: Uint8Array): void {
    if (this.#isOver) return
    if (chunk.length >= FULL_READ) this.#breathe()
    const isWaiting = this.#unread.length > 0
    this.#unread = isWaiting ? concatBytes(this.#unread, chunk) : chunk
    if (!isWaiting) this.#openInTurn()
    this.#flow()
  }

  /** By the connection's owner. What has been read already is opened all the same. */
  pause(): void {
    this.#isPaused = true
    this.#flow()
  }
  resume(): void {
    this.#isPaused = false
    this.#flow()
  }

  /** What is unread is dropped, and the socket left to its owner. */
  end(): void {
    this.#isOver = true
    this.#unread = EMPTY
  }

  /** One read for each iteration of the event loop. */
  #breathe(): void {
    if (this.#hasFullRead) return
    this.#hasFullRead = true
    setImmediate(() => {
      this.#hasFullRead = false
      this.#flow()
    })
  }

  #openInTurn(): void {
    const turns = this.#options.turns()
    if (turns === null) this.#open()
    else
      turns.take(
        () => this.#open(),
        () => this.#isOver,
      )
  }

  #open(): void {
    if (this.#isOver) return
    const left = this.#options.open(this.#unread)
    this.#unread = this.#isOver ? EMPTY : left
    if (this.#unread.length > 0) this.#openInTurn()
    else this.#flow()
  }

  #flow(): void {
    const isStopped = this.#isPaused || this.#hasFullRead || this.#unread.length > 0
    if (this.#isOver || isStopped === this.#isStopped) return
    this.#isStopped = isStopped
    if (isStopped) this.#options.socket.pause()
    else this.#options.socket.resume()
  }
}
