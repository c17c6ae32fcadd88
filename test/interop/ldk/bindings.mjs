import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import v8 from 'node:v8'
import vm from 'node:vm'
import * as ldk from 'lightningdevkit'
import * as raw from 'lightningdevkit/bindings.mjs'

// Both are looked into by computed names.
const structs = { ...ldk }
const functions = { ...raw }
const require = createRequire(import.meta.url)

/** Loads the WASM once. The bindings console.log a banner, which would corrupt a JSON-lines stdout. */
export async function loadLdk() {
  let banner = ''
  console.log = (...a) => {
    banner += a.join(' ')
  }
  try {
    await ldk.initializeWasmFromBinary(
      fs.readFileSync(path.join(path.dirname(require.resolve('lightningdevkit')), 'liblightningjs.wasm')),
    )
  } finally {
    console.log = (...a) => console.error(...a)
  } // Rust panics print through console.log: keep them off stdout
  return banner
}

export const some64 = (v) =>
  v == null ? ldk.Option_u64Z.constructor_none() : ldk.Option_u64Z.constructor_some(BigInt(v))
export const optional = (o) => o?.some ?? null // Option_* -> value or null
export const enumName = (e, v, prefix) => (v == null ? null : String(e[v]).replace(prefix, ''))
export const must = (r, what) => {
  if (r.is_ok()) return r.res
  const e = r.err
  let why = e?.err ?? e
  if (typeof e === 'number') {
    // a C enum: its type is in the Result class's name
    const t = [
      'RetryableSendFailure',
      'Bolt12SemanticError',
      'Bolt11SemanticError',
      'CreationError',
      'Secp256k1Error',
    ].find((x) => r.constructor.name.includes(x))
    why = structs[t]?.[e] ?? e
  }
  if (typeof e === 'object' && e && !e.err) why = e.constructor.name
  throw new Error(`${what}: ${typeof why === 'bigint' || typeof why === 'object' ? e?.constructor?.name : why}`)
}

/** Frees an event's Rust memory (and that of the objects in its fields) now instead of at some later major GC. */
export function release(o) {
  if (Array.isArray(o)) {
    for (const x of o) release(x)
    return
  }
  if (!o || typeof o !== 'object' || typeof o.ptr !== 'bigint' || o.ptr === 0n || !Array.isArray(o.ptrs_to)) return
  let free = null
  for (let c = o.constructor; c?.name && !free; c = Object.getPrototypeOf(c))
    free = functions[`${c.name.replace(/^Option_/, 'COption_').replace(/^Result_/, 'CResult_')}_free`]
  if (!free) return
  for (const k of Object.keys(o)) if (k !== 'ptr' && k !== 'ptrs_to' && !(o[k] instanceof Uint8Array)) release(o[k])
  const ptr = o.ptr
  o.constructor.set_null_skip_free(o)
  free(ptr)
}

// The rest (Result_*, ChannelDetails, ...) waits for a major GC, which V8 would hardly ever do for 40-byte wrappers.
v8.setFlagsFromString('--expose-gc')
export const gc = vm.runInNewContext('gc')

export const versions = () => ({
  ldk: raw._ldk_get_compiled_version ? raw.decodeString(raw._ldk_get_compiled_version()) : null,
  node: process.version,
})
