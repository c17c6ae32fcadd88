import type { FastifyReply } from 'fastify'
import type { ResourceKey } from '../node/changes.ts'
import type { ApiContext } from './app.ts'

export interface Waited<V> {
  readonly resource: ResourceKey
  readonly get: () => Promise<V>
  readonly done: (view: V) => boolean
  /** `?wait=` */
  readonly seconds: number | undefined
}

/** An answer that is held until `done` holds of it; as it is when the time is up, the client has gone, or the node is to stop. */
export async function held<V>(
  { service, closing }: Pick<ApiContext, 'service' | 'closing'>,
  reply: FastifyReply,
  view: V,
  { resource, get, done, seconds }: Waited<V>,
): Promise<V> {
  if (!seconds || done(view)) return view
  const wait = new AbortController()
  const end = (): void => wait.abort()
  if (closing.aborted) end()
  closing.addEventListener('abort', end)
  reply.raw.on('close', end)
  try {
    return await service.waitFor(resource, get, done, seconds * 1000, wait.signal)
  } finally {
    closing.removeEventListener('abort', end)
    reply.raw.off('close', end)
  }
}
