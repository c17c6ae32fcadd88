import type { Page, PageRequest } from '../../node/service.ts'

const DEFAULT_LIMIT = 50

export const pageRequest = (query: { limit?: number; cursor?: string }): PageRequest => ({
  limit: query.limit ?? DEFAULT_LIMIT,
  ...(query.cursor !== undefined && { cursor: query.cursor }),
})

export const pageJson = <V, J>(page: Page<V>, toJson: (view: V) => J): { items: J[]; nextCursor: string | null } => ({
  items: page.items.map(toJson),
  nextCursor: page.nextCursor,
})
