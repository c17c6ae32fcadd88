import { InvalidArgumentError } from 'commander'

/** Where a comma parts a fraction, as in much of the world, `0,5` is a half, and `1.000` a thousand: neither may pass for 5, or 1. */
const WHOLE = /^(\d+(_\d+)*|[1-9]\d{0,2}(,\d{3})+)$/

/** A whole number from the command line, in digits alone; they may be grouped with `_`, or by threes with `,`. */
export function integer(text: string): number {
  const value = Number(text.replace(/[_,]/g, ''))
  if (!WHOLE.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`Expected a whole number from 0 upwards, ${Number.MAX_SAFE_INTEGER} at most.`)
  }
  return value
}

export function decimal(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Expected a number from 0 upwards.')
  return value
}

/** For an option that may be given several times: all that it was given. */
export const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

/** Without the properties that are undefined, as request bodies want it. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
