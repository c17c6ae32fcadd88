import { readFileSync } from 'node:fs'

/** What src/crypto/core/index.ts exports: addresses in, 1 or 0 out unless it says otherwise. */
export interface CoreExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  init(): void
  io(): number
  ioBytes(): number
  blind(random64: number): number
  isScalar(bytes32: number): number
  sign(out64: number, hash32: number, key32: number, extra32: number, lowR: number): number
  publicKey(out33: number, key32: number): number
  /** 0 for a bad point, −1 for a bad key. */
  ecdh(out32: number, pub: number, length: number, key32: number): number
  /** 1; 0 for a wrong HMAC, −1 for a bad point, −2 for a bad key. */
  peelLayer(
    shared32: number,
    pub33: number,
    key32: number,
    data: number,
    length: number,
    adLength: number,
    mac32: number,
  ): number
  multiplySecret(out33: number, pub: number, length: number, key32: number): number
  secretAdd(out32: number, x32: number, y32: number): number
  secretMul(out32: number, x32: number, y32: number): number
  schnorrKey(out32: number, key32: number): number
  signSchnorr(out64: number, message: number, length: number, key32: number, aux32: number): number
  verify(sig64: number, hash32: number, pub: number, length: number, lowS: number): number
  /** The index of a signature that is wrong, or −1. */
  verifyAll(count: number, times: number, sigs: number, hashes: number, pub33: number): number
  verifySchnorr(sig64: number, message: number, length: number, x32: number): number
  recover(out33: number, sig64: number, id: number, hash32: number): number
  isPoint(pub: number, length: number): number
  convert(out33: number, out65: number, pub: number, length: number): number
  multiplyPublic(out33: number, pub: number, length: number, k32: number): number
  addTweak(out33: number, pub: number, length: number, t32: number): number
  addPoints(out33: number, pub: number, length: number, other: number, otherLength: number): number
  commitmentKeys(out: number, point33: number, basepoints: number, count: number, revocation33: number): number
  chainSecret(secret32: number, bits: number, indexHigh: number, indexLow: number): void
  sha256(out32: number, data: number, length: number): void
  sha256d(out32: number, data: number, length: number): void
  ripemd160(out20: number, data: number, length: number): void
  hash160(out20: number, data: number, length: number): void
  hmac(out32: number, key: number, keyLength: number, data: number, length: number): void
  chacha20(data: number, length: number, key32: number, nonce12: number, counter: number): void
  aeadSeal(data: number, length: number, ad: number, adLength: number, key32: number, nonce12: number): void
  aeadOpen(data: number, length: number, ad: number, adLength: number, key32: number, nonce12: number): number
}

/** @types/node does not declare WebAssembly. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

/** `npm run build` puts it at the root of the package, beside src/ and dist/. */
const FILE = new URL('../../build/core.wasm', import.meta.url)

/** The module and its exchange buffer. */
export interface LoadedCore {
  /** The compiled WebAssembly.Module, from which threads make instances of their own. */
  readonly module: object
  readonly core: CoreExports
  readonly u8: Uint8Array
  readonly io: number
}
/** Nothing is blinded yet. For createCoreProvider, and for tests that need more than a provider has. */
export const loadCore = (): LoadedCore => instantiateCore(readFileSync(FILE))

/** @param imports none, but for an instrumented build */
export function instantiateCore(wasm: Uint8Array, imports: object = {}): LoadedCore {
  const module = new WebAssembly.Module(wasm)
  const core = new WebAssembly.Instance(module, imports).exports as CoreExports
  core.init()
  return { module, core, u8: new Uint8Array(core.memory.buffer), io: core.io() }
}

/** The exchange buffer: arguments are put at addresses in it, results taken from OUT. */
export interface Exchange {
  readonly core: CoreExports
  readonly u8: Uint8Array
  /** 128 B each, but D, which has 512, and DATA, which has 17 KiB. */
  readonly OUT: number
  readonly A: number
  readonly B: number
  readonly C: number
  readonly D: number
  readonly DATA: number
  /** Copies bytes to an address, and returns that. The caller has checked their length. */
  readonly put: (at: number, bytes: Uint8Array) => number
  /** Copies the first bytes at OUT. */
  readonly out: (length: number) => Uint8Array
  /** The same, of an operation on secrets: nothing of it or of its arguments stays, but at DATA. */
  readonly secretOut: (length: number) => Uint8Array
  /** Zeroes all below DATA. */
  readonly forget: () => void
}

/** Where arguments and results of the core lie in its memory. */
export function exchangeOf({ core, u8, io }: LoadedCore): Exchange {
  const DATA = io + 1024
  const forget = (): void => {
    u8.fill(0, io, DATA)
  }
  const out = (length: number): Uint8Array => u8.slice(io, io + length)
  return {
    ...{ core, u8, OUT: io, A: io + 128, B: io + 256, C: io + 384, D: io + 512, DATA },
    put(at, bytes) {
      u8.set(bytes, at)
      return at
    },
    out,
    secretOut(length) {
      const result = out(length)
      forget()
      return result
    },
    forget,
  }
}
