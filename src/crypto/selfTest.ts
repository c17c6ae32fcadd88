import { concatBytes, equalBytes, fromHex, toHex, utf8 } from '../base/bytes.ts'
import type { CryptoProvider } from './provider.ts'

const G = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const G2 = '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5'
const G3 = '02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9'
const JEFE = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
const CHACHA_ZEROS = '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7'
const ECDSA_SIGNATURE =
  '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5'
/** BIP 340, test vector 0. */
const SCHNORR_SIGNATURE =
  'e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0'
/** BOLT 3, appendices D (0xFF…FF, last node of the chain) and E. */
const BASEPOINT = '036d6caac248af96f6afa7f904f550253a0f3ef3f5aa2fe6838a95b216691468e2'
const COMMITMENT_POINT = '025f7117a78150fe2ef97db7cfc83bd57b2e2c0d0dd25eaf467a4a1c2a45ce1486'
const DERIVED_KEY = '0235f2dbfaa89b57ec7b055afe29849ef7ddfeb1cefdb9ebdc43f5494984db29e5'
const REVOCATION_KEY = '02916e326636d19c33f13e8c0c3a03dd157f332f3e99c317c141dd865eb01f8ff0'
const CHAIN_SECRET = '7cc854b54e3e0dcdb010d7a3fee464a9687be6e8db3be6854c475621e007a5dc'
const scalar = (n: number): Uint8Array => concatBytes(new Uint8Array(31), Uint8Array.of(n))

type Check = readonly [name: string, passed: boolean]
const is = (got: Uint8Array | null, want: string): boolean => got !== null && toHex(got) === want
const message = utf8('Satoshi Nakamoto')

/** FIPS 180-4, RFC 4231 case 2, RFC 8439 §2.8.2. */
function symmetric(c: CryptoProvider): readonly Check[] {
  const key = fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f')
  const nonce = fromHex('070000004041424344454647')
  const ad = fromHex('50515253c0c1c2c3c4c5c6c7')
  const sealed = c.aeadEncrypt(key, nonce, ad, message)
  const opened = c.aeadDecrypt(key, nonce, ad, sealed)
  const tampered = sealed.with(0, sealed[0]! ^ 1)
  const zeros = new Uint8Array(32)
  return [
    ['sha256', is(c.sha256(utf8('abc')), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')],
    ['ripemd160', is(c.ripemd160(utf8('abc')), '8eb208f7e05d987a9b044a8e98c6b087f15a0bfc')],
    ['hash160', is(c.hash160(fromHex(G)), '751e76e8199196d454941c45d1b3a323f1433bd6')],
    ['hmacSha256', is(c.hmacSha256(utf8('Jefe'), utf8('what do ya want for nothing?')), JEFE)],
    ['chacha20', is(c.chacha20(zeros, new Uint8Array(12), zeros), CHACHA_ZEROS)],
    ['aead', opened !== null && equalBytes(opened, message) && c.aeadDecrypt(key, nonce, ad, tampered) === null],
  ]
}

/** SEC 2 small multiples of G, RFC 6979 for secp256k1, BIP 340. */
function curve(c: CryptoProvider): readonly Check[] {
  const key = fromHex(G)
  const hash = c.sha256(message)
  const signature = c.ecdsaSign(hash, scalar(1))
  const recoverable = c.ecdsaSignRecoverable(hash, scalar(1))
  const zeros = new Uint8Array(32)
  const xOnly = fromHex(G3).subarray(1)
  const schnorr = c.schnorrSign(zeros, scalar(3), zeros)
  return [
    ['publicKey', is(c.publicKey(scalar(1)), G) && is(c.publicKey(scalar(2)), G2)],
    ['pointMul', is(c.pointMul(key, scalar(3)), G3)],
    ['pointAdd', is(c.pointAdd(key, fromHex(G2)), G3) && is(c.pointAdd(key, key), G2)],
    ['pointAddTweak', is(c.pointAddTweak(key, scalar(2)), G3)],
    ['secretAdd', is(c.secretAdd(scalar(1), scalar(2)), toHex(scalar(3)))],
    ['secretMul', is(c.secretMul(scalar(2), scalar(3)), toHex(scalar(6)))],
    ['ecdh', is(c.ecdh(scalar(2), key), toHex(c.sha256(fromHex(G2))))],
    ['ecdsaSign', is(signature, ECDSA_SIGNATURE)],
    ['ecdsaVerify', c.ecdsaVerify(signature, hash, key) && !c.ecdsaVerify(signature, c.sha256(hash), key)],
    [
      'ecdsaVerifyAll',
      c.ecdsaVerifyAll([signature, signature, signature], [hash, hash, hash], key) === -1 &&
        c.ecdsaVerifyAll([signature, signature, signature], [hash, hash, zeros], key) === 2,
    ],
    ['ecdsaRecover', is(c.ecdsaRecover(recoverable.signature, recoverable.recoveryId, hash), G)],
    ['schnorrPublicKey', is(c.schnorrPublicKey(scalar(3)), toHex(xOnly))],
    ['schnorrSign', is(schnorr, SCHNORR_SIGNATURE)],
    ['schnorrVerify', c.schnorrVerify(schnorr, zeros, xOnly) && !c.schnorrVerify(schnorr, hash, xOnly)],
  ]
}

/** BOLT 3, appendices D and E. */
function derivations(c: CryptoProvider): readonly Check[] {
  const keys = c.commitmentKeys(fromHex(COMMITMENT_POINT), [fromHex(BASEPOINT)], fromHex(BASEPOINT))
  return [
    ['commitmentKeys', keys !== null && is(keys[0]!, DERIVED_KEY) && is(keys[1]!, REVOCATION_KEY)],
    ['peelLayer', peels(c)],
    ['chainSecret', is(c.chainSecret(new Uint8Array(32).fill(255), 48, 2 ** 48 - 1), CHAIN_SECRET)],
  ]
}

/** A layer made with the primitives, which have been tested by now. */
function peels(c: CryptoProvider): boolean {
  const sharedSecret = c.ecdh(scalar(2), c.publicKey(scalar(3)))!
  const payloads = c.chacha20(c.hmacSha256(utf8('rho'), sharedSecret), new Uint8Array(12), new Uint8Array(100).fill(7))
  const hmac = c.hmacSha256(c.hmacSha256(utf8('mu'), sharedSecret), payloads)
  const layer = { ephemeralKey: c.publicKey(scalar(2)), payloads, associatedData: new Uint8Array(0), hmac }
  const unwrapped = c.peelLayer(scalar(3), layer)?.unwrapped
  return unwrapped?.length === 200 && unwrapped.subarray(0, 100).every((b) => b === 7)
}

/** Known answers. @returns the name of the first operation that answers wrongly, or null */
export const selfTest = (c: CryptoProvider): string | null =>
  [...symmetric(c), ...curve(c), ...derivations(c)].find(([, passed]) => !passed)?.[0] ?? null
