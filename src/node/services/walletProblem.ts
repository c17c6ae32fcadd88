import { WalletError, type WalletErrorCode } from '../../wallet/errors.ts'
import { badBody, type ServiceCode, ServiceError } from '../errors.ts'

const CODES: Partial<Record<WalletErrorCode, ServiceCode>> = {
  INSUFFICIENT_FUNDS: 'INSUFFICIENT_BALANCE',
  NOTHING_TO_SPEND: 'INSUFFICIENT_BALANCE',
  CANNOT_BUMP: 'CONFLICT',
}

/** A wallet's refusal as the API tells it. @param coins where in the body they are named */
export function walletProblem(e: unknown, coins = '/utxos'): unknown {
  if (!(e instanceof WalletError)) return e
  const code = CODES[e.code]
  return code ? new ServiceError(code, e.message, { cause: e }) : badBody(fieldOf(e, coins), e.message, { cause: e })
}

function fieldOf({ code, at }: WalletError, coins: string): string {
  switch (code) {
    case 'INVALID_FEERATE':
      return '/feerateSatPerVbyte'
    case 'DUST_OUTPUT':
      return at === undefined ? '/outputs' : `/outputs/${at}/amountSat`
    case 'UNKNOWN_COIN':
    case 'COIN_NOT_SPENDABLE':
      return at === undefined ? coins : `${coins}/${at}`
    case 'PSBT_REFUSED':
      return '/psbt'
    default:
      return ''
  }
}
