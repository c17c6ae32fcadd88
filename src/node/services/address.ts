import { decodeAddress } from '../../bitcoin/address.ts'
import { badBody } from '../errors.ts'
import type { NodeParts } from '../parts.ts'

/**
 * The script that an address of this network pays to.
 * @param pointer where in the body the address stands
 * @throws ServiceError VALIDATION_FAILED
 */
export function scriptOfAddress(
  address: string,
  { network }: Pick<NodeParts, 'network'>,
  pointer = '/address',
): Uint8Array {
  try {
    return decodeAddress(address, network)
  } catch (e) {
    throw badBody(pointer, `address "${address}": ${e instanceof Error ? e.message : e}`, { cause: e })
  }
}
