import { execFileSync } from 'node:child_process'

/**
 * Lets a process run only where nobody else wants to (`SCHED_IDLE` of Linux), with all threads that it has; those that it starts later have what the thread has that
 * starts them. The lowest priority does not do: who runs may end its slice of some milliseconds first, whatever its priority.
 * @returns whether the platform let us: it takes Linux and `chrt` of util-linux
 */
export function giveWay(pid: number): boolean {
  try {
    execFileSync('chrt', ['--idle', '--all-tasks', '--pid', '0', String(pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
