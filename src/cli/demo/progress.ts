import type { Writable } from 'node:stream'

/** Tells whoever watches how far the demo is: steps as lines, and within a step a line that rewrites itself on a terminal. */
export interface Progress {
  step(text: string): void
  /** Shown at most a few times a second. */
  count(text: string, done: number, of: number): void
  /** Ends a line that is being rewritten. */
  end(): void
}

const TERMINAL_EVERY_MS = 100
const LINE_EVERY_MS = 5_000

export function progressTo(stream: Writable & { isTTY?: boolean }): Progress {
  const begin = performance.now()
  const isTerminal = stream.isTTY === true
  let shownAt = 0
  let open = false
  const stamp = (): string => `[${((performance.now() - begin) / 1000).toFixed(1).padStart(5)} s]`
  const end = (): void => {
    if (open) stream.write('\n')
    open = false
  }
  return {
    step(text) {
      end()
      stream.write(`${stamp()} ${text}\n`)
      shownAt = performance.now()
    },
    count(text, done, of) {
      const now = performance.now()
      const isLast = done === of
      if (!isLast && now - shownAt < (isTerminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS)) return
      shownAt = now
      const line = `${stamp()} ${text} ${done.toLocaleString('en-US')} of ${of.toLocaleString('en-US')}`
      stream.write(isTerminal ? `\r${line}` : `${line}\n`)
      open = isTerminal
      if (isLast) end()
    },
    end,
  }
}
