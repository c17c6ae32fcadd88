/** Why a block or transaction was refused, in Bitcoin Core's words: programs compare `reason`, people read `detail` too. */
export interface Rejection {
  readonly reason: string
  readonly detail?: string
}

export const reject = (reason: string, detail?: string): Rejection =>
  detail === undefined ? { reason } : { reason, detail }

/** `reason, detail`, as Core's nodes print it. */
export const rejectionText = (r: Rejection): string => (r.detail ? `${r.reason}, ${r.detail}` : r.reason)
