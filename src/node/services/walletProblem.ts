import { BitcoinFormatError } from '../../bitcoin/errors.ts'
import { WalletError, type WalletErrorCode } from '../../wallet/errors.ts'
import { type ServiceCode, ServiceError } from '../errors.ts'

const CODES: Partial<Record<WalletErrorCode, ServiceCode>> = {
  INSUFFICIENT_FUNDS: 'INSUFFICIENT_BALANCE',
  NOTHING_TO_SPEND: 'INSUFFICIENT_BALANCE',
  CANNOT_BUMP: 'CONFLICT',
}

/** A wallet's refusal as the API tells it. */
export function walletProblem(e: unknown): unknown {
  if (e instanceof BitcoinFormatError) return new ServiceError('VALIDATION_FAILED', e.message, { cause: e })
  if (!(e instanceof WalletError)) return e
  return new ServiceError(CODES[e.code] ?? 'VALIDATION_FAILED', e.message, { cause: e })
}
