import type { Journal } from '../store/journal.ts'
import type { Op } from '../store/types.ts'

/** After this much work a turn is sealed: what it wants done has waited long enough. */
const TURN_BUDGET_MS = 4
/** After this long the event loop gets air in the middle of a turn, so that requests and sockets are served under load. */
const SLICE_MS = 1

/** What a task may do besides changing memory: write, and act once what was written is on disk. */
export interface TurnScope {
  write(op: Op): void
  /** Runs when everything written up to the end of this turn is durable, in the order given. */
  after(act: () => void): void
  /** The same, before everything given to `after`: what a peer waits for. */
  first(act: () => void): void
  /** Runs while the turn's batch is on its way to the disk: work that only what comes after needs. */
  meanwhile(work: () => void): void
  /** Something else that must be finished before this turn, and those after it, may act: a file beside the database. */
  hold(until: () => Promise<void>): void
}

export interface ReactorOptions {
  readonly journal: Journal
  /** Called once at the end of each turn, before its batch is sealed: signs what waits, writes what changed. */
  readonly endOfTurn: (scope: TurnScope) => void
  /** A write failed or a task broke an invariant of the shell: nothing more will be said; the process must stop. */
  readonly onFatal: (error: unknown) => void
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Called when a turn has been released and nothing waits: the time in which a peer thinks. */
  readonly whenIdle?: () => void
  /** Hears how many seconds the loop was busy with a turn of so many tasks, and when it began. */
  readonly onTurn?: (seconds: number, tasks: number, begun: number) => void
}

type Task = (scope: TurnScope) => void

/**
 * Runs every input that waits in one synchronous turn, gathers the turn's writes into one atomic batch and releases what the turn
 * wants done once that batch is on disk. While one batch is being synced the next turn fills: that is group commit.
 * @source docs/architecture.md §One idea
 */
export class Reactor {
  readonly #options: ReactorOptions
  #tasks: Task[] = []
  #scheduled = false
  #stopped = false
  #failed = false
  #onFailed!: () => void
  /** Resolves once a write has failed: who waits for a turn then hears nothing more. */
  readonly failed = new Promise<void>((resolve) => {
    this.#onFailed = resolve
  })
  #tail: Promise<void> = Promise.resolve()
  /** Batches that are not on disk yet. */
  #inFlight = 0
  /** The turn that has had air and goes on. */
  #open: OneTurn | null = null

  constructor(options: ReactorOptions) {
    this.#options = options
  }

  /** Tasks that wait for a turn, and turns whose batch is not on disk yet, one that has yet to end among them. */
  get waiting(): { readonly tasks: number; readonly batches: number } {
    return { tasks: this.#tasks.length, batches: this.#inFlight + (this.isInTurn ? 1 : 0) }
  }

  /** A turn has had air and has yet to end. */
  get isInTurn(): boolean {
    return this.#open !== null
  }

  /** Puts a task into the next turn. Tasks run in order and must not throw on outside input. */
  post(task: Task): void {
    if (this.#stopped) return
    this.#tasks.push(task)
    this.#schedule()
  }

  /** Runs a task in the next turn; resolves with its value once the turn is on disk, rejects with what it threw. */
  run<T>(task: (scope: TurnScope) => T): Promise<T> {
    if (this.#stopped) return Promise.reject(new Error('the node is shutting down'))
    return new Promise<T>((resolve, reject) => {
      this.post((scope) => {
        try {
          const value = task(scope)
          scope.after(() => resolve(value))
        } catch (e) {
          reject(e)
        }
      })
    })
  }

  /**
   * Resolves when all turns so far are on disk: memory runs ahead of it, and a crash would take back what is read of it before.
   * @throws Error when it will not be
   */
  async durable(): Promise<void> {
    await this.#open?.sealed
    await this.#tail
    if (this.#failed) throw new Error('the node is stopping, since a write failed')
  }

  /** Lets the tasks given so far finish and their writes land; nothing is accepted afterwards. */
  async stop(): Promise<void> {
    while ((this.#tasks.length > 0 || this.#open !== null) && !this.#stopped)
      await new Promise((resolve) => setImmediate(resolve))
    this.#stopped = true
    await this.#tail
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  /** One slice of a turn: short ones are done within it, and the others go on after what else has come was served. */
  #turn(): void {
    this.#scheduled = false
    this.#open ??= new OneTurn()
    const turn = this.#open
    const { now, endOfTurn, onTurn } = this.#options
    try {
      const begun = now()
      const done = this.#runTasks(turn, begun)
      const busyMs = now() - begun
      turn.busyMs += busyMs
      // What ends a turn takes its time as well: it has a slice of its own.
      const goesOn = done > 0 && busyMs > SLICE_MS
      if (!goesOn) endOfTurn(turn)
      onTurn?.((now() - begun) / 1000, done, begun)
      if (goesOn) return this.#schedule()
    } catch (e) {
      this.#fail(e)
      return
    }
    this.#open = null
    this.#seal(turn)
    turn.seal()
    if (this.#tasks.length > 0) this.#schedule()
  }

  /** @returns how many */
  #runTasks(turn: OneTurn, begun: number): number {
    if (turn.busyMs > TURN_BUDGET_MS) return 0
    const { now } = this.#options
    const tasks = this.#tasks
    let done = 0
    while (done < tasks.length) {
      tasks[done++]!(turn)
      if (now() - begun > SLICE_MS) break
    }
    this.#tasks = done === tasks.length ? [] : tasks.slice(done)
    return done
  }

  /** A turn that wrote nothing still waits for the batches before it: what it says may depend on them. */
  #seal(turn: OneTurn): void {
    const { ops, holds } = turn
    if (turn.isEmpty) return
    if (ops.length === 0 && holds.length === 0 && this.#inFlight === 0) {
      if (this.#run(turn.works)) this.#release(turn)
      return
    }
    this.#inFlight++
    // What only speaks needs no batch of its own: it is released in its place in the order.
    const writes = ops.length > 0 || holds.length > 0
    const durable: Promise<unknown> = writes ? this.#options.journal.commit(ops) : Promise.resolve()
    const held = holds.length === 0 ? durable : durable.then(() => Promise.all(holds.map((until) => until())))
    held.catch(() => {}) // taken up below, in the order of the turns
    this.#tail = this.#tail
      .then(() => held)
      .then(
        () => {
          this.#inFlight--
          if (!this.#failed) this.#release(turn)
        },
        (e: unknown) => this.#fail(e),
      )
    // In a microtask, so that the journal has handed the batch to the disk before.
    if (turn.works.length > 0) queueMicrotask(() => this.#run(turn.works))
  }

  #fail(e: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#stopped = true
    this.#open?.seal()
    this.#onFailed()
    this.#options.onFatal(e)
  }

  #release(turn: OneTurn): void {
    if (!this.#run(turn.firsts) || !this.#run(turn.acts)) return
    if (this.#options.whenIdle) setImmediate(() => this.#idle())
  }

  #idle(): void {
    if (this.#scheduled || this.#inFlight > 0 || this.#stopped) return
    this.#run([this.#options.whenIdle!])
  }

  /** @returns false when one of them threw, which is a bug of the shell and the end */
  #run(works: readonly (() => void)[]): boolean {
    try {
      for (const work of works) work()
      return true
    } catch (e) {
      this.#fail(e)
      return false
    }
  }
}

/** What one turn gathers. */
class OneTurn implements TurnScope {
  readonly ops: Op[] = []
  readonly firsts: (() => void)[] = []
  readonly acts: (() => void)[] = []
  readonly works: (() => void)[] = []
  readonly holds: (() => Promise<void>)[] = []
  /** Of work, in all its slices. */
  busyMs = 0
  seal = (): void => {}
  /** Resolves when it waits for the disk, or will never. */
  readonly sealed = new Promise<void>((resolve) => {
    this.seal = resolve
  })
  get isEmpty(): boolean {
    const { ops, firsts, acts, works, holds } = this
    return ops.length + firsts.length + acts.length + works.length + holds.length === 0
  }
  write(op: Op): void {
    this.ops.push(op)
  }
  after(act: () => void): void {
    this.acts.push(act)
  }
  first(act: () => void): void {
    this.firsts.push(act)
  }
  meanwhile(work: () => void): void {
    this.works.push(work)
  }
  hold(until: () => Promise<void>): void {
    this.holds.push(until)
  }
}
