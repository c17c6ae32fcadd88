/** What is wrong while a check says so; each has a code of its own, which stays. */
export const CHECKED = [
  'KEY_EXPIRING',
  'CERTIFICATE_EXPIRING',
  'CHANNEL_IN_DOUBT',
  'CHANNEL_QUARANTINED',
  'CHANNEL_WAITS_FOR_PEER',
  'HTLC_DEADLINE',
  'WALLET_RESERVE_SHORT',
  'CHAIN_BEHIND',
  'WEBHOOK_FAILING',
  'WEBHOOK_FAILED',
  'DISK_LOW',
] as const
export type CheckedCode = (typeof CHECKED)[number]

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
  /** What a running node raises an alert for, as long as it is so; absent: only who asks the doctor hears of it. */
  readonly alert?: {
    readonly code: CheckedCode
    /** Id of the key, channel or webhook; null: the node itself. */
    readonly about: string | null
  }
}

type Alert = Finding['alert']

const found =
  (level: 'warning' | 'problem') =>
  (check: string, message: string, cure: string, alert?: Alert): Finding => ({
    check,
    level,
    message,
    cure,
    ...(alert && { alert }),
  })

export const ok = (check: string, message: string): Finding => ({ check, level: 'ok', message, cure: null })
export const warning = found('warning')
export const problem = found('problem')

/** Whatever went wrong while looking is itself something to know. */
export async function looking(check: string, look: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await look()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [problem(check, `could not be looked at: ${why}`, 'put that right first, then run the doctor again')]
  }
}
