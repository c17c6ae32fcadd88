import { notice } from './output.ts'

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false
    const onSignal = () => {
      if (isStopping) process.exit(1)
      isStopping = true
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

/**
 * A start may take minutes (a Bitcoin node that loads its blocks, an older database), and may be cut short at any moment, as by a crash: a
 * signal ends the process meanwhile.
 */
export async function upBefore<T>(stopped: Promise<void>, start: () => Promise<T>): Promise<T> {
  let isStarting = true
  void stopped.then(() => {
    if (!isStarting) return
    notice('stopped before the node was up')
    process.exit(0)
  })
  try {
    return await start()
  } finally {
    isStarting = false
  }
}
