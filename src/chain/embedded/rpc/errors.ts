/** An error as JSON-RPC carries it; `code` is a number there, so that this is no FulmenError. */
export class RpcError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.name = 'RpcError'
    this.code = code
  }
}
