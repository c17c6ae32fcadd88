import { ChainError } from './errors.ts'

/** Bitcoin Core's error numbers (its src/rpc/protocol.h). */
export const RPC_ERROR = {
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  PARSE_ERROR: -32700,
  MISC: -1,
  TYPE: -3,
  INVALID_ADDRESS_OR_KEY: -5,
  INVALID_PARAMETER: -8,
  DESERIALIZATION: -22,
  VERIFY: -25,
  VERIFY_REJECTED: -26,
  VERIFY_ALREADY_IN_UTXO_SET: -27,
} as const

/** Whether the backend answered with this error number. */
export const hasRpcCode = (e: unknown, code: number): boolean => e instanceof ChainError && e.rpcCode === code
