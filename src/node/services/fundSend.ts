import { perKw, walletFeerate } from '../../chain/fees.ts'
import type { BuiltTransaction } from '../../wallet/build.ts'
import { isSweep, type SendRequest } from '../onchainService.ts'
import type { NodeParts } from '../parts.ts'
import { outputsOf, scriptOfAddress } from './address.ts'

/**
 * The transaction that a request asks for, signed, with its coins locked for the owner.
 * @throws ServiceError VALIDATION_FAILED, WalletError
 */
export function fundSend(parts: NodeParts, request: SendRequest, owner: string): BuiltTransaction {
  const { outputs, feerateSatPerVbyte, utxos: coins } = request
  const how = {
    feeratePerKw: feerateSatPerVbyte === undefined ? walletFeerate(parts.fees()) : perKw(feerateSatPerVbyte),
    owner,
    reserveSat: parts.reserves.inAll(),
    ...(coins && { coins }),
  }
  if (!isSweep(outputs)) return parts.wallet.fund({ ...how, outputs: outputsOf(outputs, parts) })
  return parts.wallet.sweep({ ...how, scriptPubKey: scriptOfAddress(outputs[0].address, parts, '/outputs/0/address') })
}
