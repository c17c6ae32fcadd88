import { concatBytes, equalBytes, fromHex, toHex, utf8 } from '../base/bytes.ts'
import type { CryptoProvider } from './provider.ts'

const G = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const G2 = '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5'
const G3 = '02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9'
/** BIP 340, test vector 0. */
const SCHNORR_SIGNATURE =
  'e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0'
const scalar = (n: number): Uint8Array => concatBytes(new Uint8Array(31), Uint8Array.of(n))

/**
 * Known answers: FIPS 180-4, RFC 4231 case 2, RFC 8439 §2.8.2, SEC 2 small multiples of G, RFC 6979 for secp256k1,
 * BIP 340.
 * @returns the name of the first operation that answers wrongly, or null
 */
export function selfTest(c: CryptoProvider): string | null {
  const is = (got: Uint8Array | null, want: string): boolean => got !== null && toHex(got) === want
  const message = utf8('Satoshi Nakamoto')
  const hash = c.sha256(message)
  const signature = c.ecdsaSign(hash, scalar(1))
  const recoverable = c.ecdsaSignRecoverable(hash, scalar(1))
  const zeros = new Uint8Array(32)
  const xOnly = fromHex(G3).subarray(1)
  const schnorr = c.schnorrSign(zeros, scalar(3), zeros)
  const aeadKey = fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f')
  const aeadNonce = fromHex('070000004041424344454647')
  const aeadAd = fromHex('50515253c0c1c2c3c4c5c6c7')
  const sealed = c.aeadEncrypt(aeadKey, aeadNonce, aeadAd, message)
  const opened = c.aeadDecrypt(aeadKey, aeadNonce, aeadAd, sealed)
  const tampered = Uint8Array.from(sealed)
  tampered[0]! ^= 1

  const checks: readonly (readonly [string, boolean])[] = [
    ['sha256', is(c.sha256(utf8('abc')), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')],
    ['ripemd160', is(c.ripemd160(utf8('abc')), '8eb208f7e05d987a9b044a8e98c6b087f15a0bfc')],
    ['hash160', is(c.hash160(fromHex(G)), '751e76e8199196d454941c45d1b3a323f1433bd6')],
    [
      'hmacSha256',
      is(
        c.hmacSha256(utf8('Jefe'), utf8('what do ya want for nothing?')),
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      ),
    ],
    [
      'chacha20',
      is(
        c.chacha20(new Uint8Array(32), new Uint8Array(12), new Uint8Array(32)),
        '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7',
      ),
    ],
    [
      'aead',
      opened !== null && equalBytes(opened, message) && c.aeadDecrypt(aeadKey, aeadNonce, aeadAd, tampered) === null,
    ],
    ['publicKey', is(c.publicKey(scalar(1)), G) && is(c.publicKey(scalar(2)), G2)],
    ['pointMul', is(c.pointMul(fromHex(G), scalar(3)), G3)],
    ['pointAdd', is(c.pointAdd(fromHex(G), fromHex(G2)), G3) && is(c.pointAdd(fromHex(G), fromHex(G)), G2)],
    ['pointAddTweak', is(c.pointAddTweak(fromHex(G), scalar(2)), G3)],
    ['secretAdd', is(c.secretAdd(scalar(1), scalar(2)), toHex(scalar(3)))],
    ['secretMul', is(c.secretMul(scalar(2), scalar(3)), toHex(scalar(6)))],
    ['ecdh', is(c.ecdh(scalar(2), fromHex(G)), toHex(c.sha256(fromHex(G2))))],
    [
      'ecdsaSign',
      is(
        signature,
        '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
      ),
    ],
    [
      'ecdsaVerify',
      c.ecdsaVerify(signature, hash, fromHex(G)) && !c.ecdsaVerify(signature, c.sha256(hash), fromHex(G)),
    ],
    ['schnorrSign', is(schnorr, SCHNORR_SIGNATURE)],
    ['schnorrVerify', c.schnorrVerify(schnorr, zeros, xOnly) && !c.schnorrVerify(schnorr, hash, xOnly)],
    ['ecdsaRecover', is(c.ecdsaRecover(recoverable.signature, recoverable.recoveryId, hash), G)],
  ]
  return checks.find(([, passed]) => !passed)?.[0] ?? null
}
