import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A program of this folder in a process of its own, which ends with this one. */
export class Program {
  readonly #child: ChildProcess
  readonly #ended: Promise<never>

  /** @param name as it is built: `./payers.js` */
  constructor(name: string, args: readonly string[] = []) {
    this.#child = fork(fileURLToPath(new URL(name, import.meta.url)), args)
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`${name} of the benchmark ended with ${code}`)
    })
    this.#ended.catch(() => {}) // whoever waits for a word sees it; when nobody does, it is the end that we asked for
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  tell(message: object): void {
    this.#child.send(message)
  }

  /** The next thing that it says. @throws Error when it ends first */
  async said<T>(): Promise<T> {
    const [message] = await Promise.race([once(this.#child, 'message'), this.#ended])
    return message as T
  }

  stop(): void {
    this.#child.kill()
  }
}
