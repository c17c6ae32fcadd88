/**
 * The root of every error that Fulmen throws on purpose. `code` is stable and for programs; `message` says what was wrong
 * and what to do, and is for people.
 */
export class FulmenError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** A bug of ours: a state that the code around it excludes. Never caused by a peer, a user or a file. */
export class InvariantError extends FulmenError {
  constructor(message: string) {
    super('INVARIANT', message)
  }
}

/** The default branch of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new InvariantError(
    `unexpected value: ${JSON.stringify(value, (_k, v) => (typeof v === 'bigint' ? `${v}` : v))}`,
  )
}
