/** What one check came to. */
export interface Finding {
  /** What was looked at, in a few words that stay the same: `seed`, `clock`, `channel 3f…`. */
  readonly check: string
  /** `warning`: the node works, and somebody should know. `problem`: something does not work, or money is at risk. */
  readonly level: 'ok' | 'warning' | 'problem'
  /** One line. */
  readonly message: string
  /** What to do, one line; null when nothing is to be done. */
  readonly cure: string | null
}

export const ok = (check: string, message: string): Finding => ({ check, level: 'ok', message, cure: null })
export const warning = (check: string, message: string, cure: string): Finding => ({
  check,
  level: 'warning',
  message,
  cure,
})
export const problem = (check: string, message: string, cure: string): Finding => ({
  check,
  level: 'problem',
  message,
  cure,
})

/** Whatever went wrong while looking is itself something to know. */
export async function looking(check: string, look: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await look()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [problem(check, `could not be looked at: ${why}`, 'put that right first, then run the doctor again')]
  }
}
