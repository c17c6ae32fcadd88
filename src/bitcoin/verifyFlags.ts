/** Script verification rules that can be switched: soft forks of the consensus, and relay policy on top. Bits of one number. */
export const VERIFY = {
  /** BIP 16. */
  P2SH: 1 << 0,
  /** Signatures and keys in a defined encoding. */
  STRICTENC: 1 << 1,
  /** BIP 66. */
  DERSIG: 1 << 2,
  /** BIP 62 rule 5: s at most half the group order. */
  LOW_S: 1 << 3,
  /** BIP 147: the extra item that CHECKMULTISIG eats is empty. */
  NULLDUMMY: 1 << 4,
  SIGPUSHONLY: 1 << 5,
  /** Shortest pushes and numbers. */
  MINIMALDATA: 1 << 6,
  DISCOURAGE_UPGRADABLE_NOPS: 1 << 7,
  /** One item is left; needs P2SH and WITNESS. */
  CLEANSTACK: 1 << 8,
  /** BIP 65. */
  CHECKLOCKTIMEVERIFY: 1 << 9,
  /** BIP 112. */
  CHECKSEQUENCEVERIFY: 1 << 10,
  /** BIP 141; needs P2SH. */
  WITNESS: 1 << 11,
  DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM: 1 << 12,
  /** The argument of IF is empty or 0x01 in segwit v0. */
  MINIMALIF: 1 << 13,
  /** BIP 146: a signature that fails is empty. */
  NULLFAIL: 1 << 14,
  /** Compressed keys only in segwit v0. */
  WITNESS_PUBKEYTYPE: 1 << 15,
  /** No CODESEPARATOR and no signature inside the script code of legacy scripts. */
  CONST_SCRIPTCODE: 1 << 16,
} as const

export type VerifyFlag = keyof typeof VERIFY

/** What a block must satisfy (taproot comes with its own validation). */
export const CONSENSUS_FLAGS: number =
  VERIFY.P2SH |
  VERIFY.DERSIG |
  VERIFY.NULLDUMMY |
  VERIFY.CHECKLOCKTIMEVERIFY |
  VERIFY.CHECKSEQUENCEVERIFY |
  VERIFY.WITNESS

/** What Bitcoin nodes relay: everything but SIGPUSHONLY, which P2SH and segwit make needless. */
export const STANDARD_FLAGS: number =
  CONSENSUS_FLAGS |
  VERIFY.STRICTENC |
  VERIFY.LOW_S |
  VERIFY.MINIMALDATA |
  VERIFY.DISCOURAGE_UPGRADABLE_NOPS |
  VERIFY.CLEANSTACK |
  VERIFY.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM |
  VERIFY.MINIMALIF |
  VERIFY.NULLFAIL |
  VERIFY.WITNESS_PUBKEYTYPE |
  VERIFY.CONST_SCRIPTCODE
