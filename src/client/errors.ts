import type { Problem, ProblemCode } from '../api/problems.ts'

/** The node answered with a problem. `code` is stable and for programs, `message` says what was wrong and what to do. */
export class ApiError extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail)
    this.name = 'ApiError'
    this.code = problem.code
    this.status = problem.status
    this.problem = problem
  }
}

/** No answer came: nothing listens there, the connection broke, or what answered is not a Fulmen node. */
export class ConnectionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConnectionError'
  }
}
