import { readdirSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

const LOW = constants.priority.PRIORITY_LOW

/**
 * Lets a process give way to all others: it and the threads that it has, of which Linux keeps a priority each. What a thread starts later has that of the thread.
 * Nobody may need to take it back: that takes privileges.
 * @returns whether the platform let us
 */
export function giveWay(pid: number): boolean {
  try {
    for (const thread of threadsOf(pid)) setPriority(thread, LOW)
    return getPriority(pid) === LOW
  } catch {
    return false
  }
}

function threadsOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number)
  } catch {
    return [pid] // where there is no such folder, a process has one priority
  }
}
