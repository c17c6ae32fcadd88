import { WalletError, type WalletErrorCode } from '../../wallet/errors.ts'
import { badBody, type ServiceCode, ServiceError } from '../errors.ts'

const CODES: Partial<Record<WalletErrorCode, ServiceCode>> = {
  INSUFFICIENT_FUNDS: 'INSUFFICIENT_BALANCE',
  NOTHING_TO_SPEND: 'INSUFFICIENT_BALANCE',
  CANNOT_BUMP: 'CONFLICT',
}

const FIELDS: Partial<Record<WalletErrorCode, string>> = {
  INVALID_FEERATE: '/feerateSatPerVbyte',
  DUST_OUTPUT: '/outputs',
  PSBT_REFUSED: '/psbt',
}

/** A wallet's refusal as the API tells it. */
export function walletProblem(e: unknown): unknown {
  if (!(e instanceof WalletError)) return e
  const code = CODES[e.code]
  return code ? new ServiceError(code, e.message, { cause: e }) : badBody(FIELDS[e.code] ?? '', e.message, { cause: e })
}
