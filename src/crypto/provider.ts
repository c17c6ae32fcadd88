export interface SignOptions {
  /** 32 B that enter the nonce beside hash and secret (RFC 6979 §3.6). */
  readonly extraEntropy?: Uint8Array
  /** Try until r < 2^255, so that the DER form is a byte shorter: extra entropy 1, 2, 3 … as a little-endian number. */
  readonly lowR?: boolean
}

/**
 * Every cryptographic operation that the node uses, behind one interface. Byte arrays in, fresh byte arrays out: hashes, secrets and
 * ChaCha keys of 32 B, nonces of 12, public keys of 33 (compressed), signatures of 64 (compact), unless it says otherwise. Methods that
 * can meet bad outside input return null or false; a bad secret of our own throws CryptoError.
 */
export interface Primitives {
  readonly name: string

  sha256(data: Uint8Array): Uint8Array
  /** SHA-256 twice: txids, block hashes, BIP 143. */
  sha256d(data: Uint8Array): Uint8Array
  /** 20 B. */
  ripemd160(data: Uint8Array): Uint8Array
  /** RIPEMD-160 of SHA-256, 20 B. */
  hash160(data: Uint8Array): Uint8Array
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array

  /** RFC 8439 keystream of ChaCha20, counter from 0, XORed onto data (BOLT 4 uses a zero 12-byte nonce). */
  chacha20(key: Uint8Array, nonce: Uint8Array, data: Uint8Array): Uint8Array
  /** RFC 8439: ciphertext followed by the 16-byte tag. */
  aeadEncrypt(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array
  /** null when the tag is wrong. */
  aeadDecrypt(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | null

  /** Secret scalar, 32 B big-endian, 1 … n − 1. */
  isValidSecret(secret: Uint8Array): boolean
  /** A point on the curve in 33-byte compressed form. */
  isValidPublicKey(key: Uint8Array): boolean
  /** 33 B. */
  publicKey(secret: Uint8Array): Uint8Array
  /** RFC 6979, low S; 64 B compact. */
  ecdsaSign(hash: Uint8Array, secret: Uint8Array, options?: SignOptions): Uint8Array
  /** false for high S, malformed keys and signatures. */
  ecdsaVerify(signature: Uint8Array, hash: Uint8Array, publicKey: Uint8Array): boolean
  /** Recovery id 0 – 3 beside the compact signature (BOLT 11). */
  ecdsaSignRecoverable(hash: Uint8Array, secret: Uint8Array): { signature: Uint8Array; recoveryId: number }
  /** 33 B, or null. Accepts high S. */
  ecdsaRecover(signature: Uint8Array, recoveryId: number, hash: Uint8Array): Uint8Array | null
  /** BOLT 8: SHA-256 of the compressed shared point; null when the public key is not on the curve. */
  ecdh(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | null

  /** The x-only key of a secret, 32 B (BIP 340). */
  schnorrPublicKey(secret: Uint8Array): Uint8Array
  /** BIP 340, 64 B. @param message any length up to 4,096 B @param auxiliary 32 B, best random */
  schnorrSign(message: Uint8Array, secret: Uint8Array, auxiliary: Uint8Array): Uint8Array
  /** BIP 340; false for malformed keys and signatures. @param publicKey x-only, 32 B */
  schnorrVerify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean

  /** a + b mod n; null when one is not a valid secret or the sum is 0. */
  secretAdd(a: Uint8Array, b: Uint8Array): Uint8Array | null
  /** a · b mod n; null when one is not a valid secret. */
  secretMul(a: Uint8Array, b: Uint8Array): Uint8Array | null
  /** P + t·G; null at infinity or for a bad point or scalar (BOLT 3 §key-derivation). */
  pointAddTweak(p: Uint8Array, t: Uint8Array): Uint8Array | null
  /** P + Q; null at infinity or for a bad point. */
  pointAdd(p: Uint8Array, q: Uint8Array): Uint8Array | null
  /** k · P, for a public k; null for a bad point or scalar. */
  pointMul(p: Uint8Array, k: Uint8Array): Uint8Array | null
}

/** What Lightning repeats so often that it is worth a call of its own; `composites` makes them of the primitives. */
export interface Composites {
  /**
   * Many signatures at once, on as many hashes, of one key, as the HTLC signatures of a commitment are, or of as many keys.
   * @returns the index of one that is wrong, or −1
   */
  ecdsaVerifyAll(
    signatures: readonly Uint8Array[],
    hashes: readonly Uint8Array[],
    keys: Uint8Array | readonly Uint8Array[],
  ): number
  /**
   * The keys of one commitment: each of ≤ 4 basepoints, tweaked for the commitment point; then, when its basepoint is given, the
   * revocation key. All 33 B. null when one of them is not a point.
   * @source BOLT 3 §key-derivation
   */
  commitmentKeys(
    point: Uint8Array,
    basepoints: readonly Uint8Array[],
    revocationBasepoint: Uint8Array | null,
  ): Uint8Array[] | null
  /**
   * From the secret of an index whose low `bits` bits are 0 to the one of `index`, which shares the bits above. 32 B.
   * @param index below 2^48
   * @source BOLT 3 §per-commitment-secret-requirements
   */
  chainSecret(secret: Uint8Array, bits: number, index: number): Uint8Array
  /**
   * Takes one layer off an onion: the secret shared with the ephemeral key, and what the payloads and as many zeros behind them decrypt
   * to, null when the HMAC is wrong. null when the ephemeral key is no point.
   * @throws CryptoError for a secret that is none
   * @source BOLT 4 §onion-decryption
   */
  peelLayer(nodeSecret: Uint8Array, layer: OnionLayer): PeeledLayer | null
}

export interface OnionLayer {
  /** 33 B, as our secret has to meet it. */
  readonly ephemeralKey: Uint8Array
  readonly payloads: Uint8Array
  readonly associatedData: Uint8Array
  /** 32 B. */
  readonly hmac: Uint8Array
}
export interface PeeledLayer {
  /** 32 B. */
  readonly sharedSecret: Uint8Array
  /** Twice as long as the payloads. */
  readonly unwrapped: Uint8Array | null
}

export type CryptoProvider = Primitives & Composites
