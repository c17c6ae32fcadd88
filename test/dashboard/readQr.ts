import { createRequire } from 'node:module'

type Read = (data: Uint8ClampedArray, width: number, height: number) => { readonly data: string } | null

// Published as CommonJS with a default export that TypeScript sees one level higher than Node does.
const jsqr = createRequire(import.meta.url)('jsqr') as Read | { readonly default: Read }

/** What an independent reader finds. @param data RGBA */
export const readQr = (data: Uint8ClampedArray, width: number, height: number): string | null =>
  ('default' in jsqr ? jsqr.default : jsqr)(data, width, height)?.data ?? null
