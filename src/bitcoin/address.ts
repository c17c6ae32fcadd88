import { bech32, bech32m, createBase58check } from '@scure/base'
import { crypto } from '../crypto/crypto.ts'
import { BitcoinFormatError } from './errors.ts'
import { type Network, networkParams } from './networks.ts'
import { isP2pkh, isP2sh, p2pkh, p2sh, witnessProgram } from './script.ts'

const base58check = createBase58check(crypto.sha256)

/**
 * The address of an output script, or null when the script has none.
 * @source BIP 173, BIP 350
 */
export function encodeAddress(scriptPubKey: Uint8Array, network: Network): string | null {
  const params = networkParams(network)
  const witness = witnessProgram(scriptPubKey)
  if (witness) {
    const { version, program } = witness
    if (version === 0 && program.length !== 20 && program.length !== 32) return null
    const code = version === 0 ? bech32 : bech32m
    return code.encode(params.hrp, [version, ...code.toWords(program)])
  }
  const base58 = (version: number, hash: Uint8Array): string => base58check.encode(Uint8Array.of(version, ...hash))
  if (isP2pkh(scriptPubKey)) return base58(params.pubkeyHashVersion, scriptPubKey.subarray(3, 23))
  if (isP2sh(scriptPubKey)) return base58(params.scriptHashVersion, scriptPubKey.subarray(2, 22))
  return null
}

/**
 * The output script that an address stands for.
 * @param text bech32, bech32m or base58, as a user typed it
 * @throws BitcoinFormatError that says what is wrong: a typing error, another network's address, an unknown kind
 * @source BIP 173, BIP 350
 */
export function decodeAddress(text: string, network: Network): Uint8Array {
  const address = text.trim()
  if (address.length > 90) throw new BitcoinFormatError('address: longer than 90 characters')
  return /^(bc|tb|bcrt)1/i.test(address) ? decodeSegwit(address, network) : decodeBase58(address, network)
}

function decodeSegwit(address: string, network: Network): Uint8Array {
  const { hrp } = networkParams(network)
  const plain = bech32.decodeUnsafe(address)
  const modified = plain ? undefined : bech32m.decodeUnsafe(address)
  const decoded = plain ?? modified
  if (!decoded) throw new BitcoinFormatError('address: the checksum is wrong, check it for a typing error')
  if (decoded.prefix !== hrp) {
    throw new BitcoinFormatError(`address: it begins with "${decoded.prefix}1", ${network} needs "${hrp}1"`)
  }
  const version = decoded.words[0]
  const program = bech32.fromWordsUnsafe(decoded.words.slice(1))
  if (version === undefined || version > 16) throw new BitcoinFormatError('address: no witness version 0 – 16')
  if (!program || program.length < 2 || program.length > 40) {
    throw new BitcoinFormatError('address: the witness program is not 2 – 40 whole bytes')
  }
  if ((version === 0) !== (plain !== undefined)) {
    throw new BitcoinFormatError('address: witness version 0 needs bech32, later ones bech32m')
  }
  if (version === 0 && program.length !== 20 && program.length !== 32) {
    throw new BitcoinFormatError('address: a version 0 program has 20 or 32 bytes')
  }
  return Uint8Array.of(version === 0 ? 0 : 0x50 + version, program.length, ...program)
}

function decodeBase58(address: string, network: Network): Uint8Array {
  const params = networkParams(network)
  let bytes: Uint8Array
  try {
    bytes = base58check.decode(address)
  } catch {
    throw new BitcoinFormatError(`address: neither a "${params.hrp}1…" address nor base58 with a right checksum`)
  }
  if (bytes.length !== 21) throw new BitcoinFormatError(`address: ${bytes.length} bytes, expected 21`)
  if (bytes[0] === params.pubkeyHashVersion) return p2pkh(bytes.slice(1))
  if (bytes[0] === params.scriptHashVersion) return p2sh(bytes.slice(1))
  throw new BitcoinFormatError(`address: its version byte ${bytes[0]} is not one of ${network}`)
}
