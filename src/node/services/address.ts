import { decodeAddress } from '../../bitcoin/address.ts'
import { ServiceError } from '../errors.ts'
import type { NodeParts } from '../parts.ts'

/** The script that an address of this network pays to. @throws ServiceError VALIDATION_FAILED */
export function scriptOfAddress(address: string, parts: Pick<NodeParts, 'network'>): Uint8Array {
  try {
    return decodeAddress(address, parts.network)
  } catch (e) {
    throw new ServiceError('VALIDATION_FAILED', `address "${address}": ${e instanceof Error ? e.message : e}`, {
      cause: e,
    })
  }
}
