import { ConnectionError } from '../client/errors.ts'
import type { CallOptions } from '../client/http.ts'

/**
 * A call that moves money, for a button that can be pressed again: after a press of which nobody knows whether it was carried out, the
 * same request is the same call, and done once.
 */
export function onceKnown<R, T>(act: (request: R, options: CallOptions) => Promise<T>): (request: R) => Promise<T> {
  let unknown: { readonly idempotencyKey: string; readonly body: string } | null = null
  return async (request) => {
    const body = JSON.stringify(request)
    try {
      return await act(request, unknown?.body === body ? { idempotencyKey: unknown.idempotencyKey } : {})
    } catch (error) {
      const { idempotencyKey } = error instanceof ConnectionError ? error : {}
      unknown = idempotencyKey === undefined ? null : { idempotencyKey, body }
      throw error
    }
  }
}
