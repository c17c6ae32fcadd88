import { decodeAddress } from '../../bitcoin/address.ts'
import type { TxOutput } from '../../bitcoin/transaction.ts'
import { badBodies, badBody, ServiceError } from '../errors.ts'
import type { SendOutput } from '../onchainService.ts'
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

/** What a send pays to. @throws ServiceError VALIDATION_FAILED that names every address which is none */
export function outputsOf(wanted: readonly SendOutput[], parts: Pick<NodeParts, 'network'>): readonly TxOutput[] {
  const wrong: { pointer: string; detail: string }[] = []
  const outputs = wanted.flatMap(({ address, amountSat }, i) => {
    try {
      return [{ amountSat, scriptPubKey: scriptOfAddress(address, parts, `/outputs/${i}/address`) }]
    } catch (e) {
      if (!(e instanceof ServiceError)) throw e
      wrong.push(...e.fields.map(({ pointer }) => ({ pointer, detail: e.message })))
      return []
    }
  })
  if (wrong.length === 0) return outputs
  throw badBodies(wrong)
}
