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
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return service.waitFor(resource, get, done, seconds * 1000, AbortSignal.any([closing, gone.signal]))
}
