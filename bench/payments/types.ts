/** A run of payments from one node to another. */
export interface Load {
  readonly amountMsat: number
  /** How many are under way at any time. */
  readonly inFlight: number
  readonly payments: number
}

export interface Outcome {
  readonly succeeded: number
  readonly failed: number
  readonly perSecond: number
  /** From the call that pays to the preimage in hand, in the payer's process. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  /** Processor time of the payer's process. */
  readonly payerCpuMsPerPayment: number
  readonly failures: Readonly<Record<string, number>>
}

/** Two nodes with channels between them, ready to be loaded. */
export interface Contender {
  readonly name: string
  run(load: Load): Promise<Outcome>
  stop(): Promise<void>
}

export interface ContenderOptions {
  readonly channels: number
  readonly capacitySat: number
}
