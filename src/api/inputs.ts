import { type NodeId, nodeId } from '../base/ids.ts'

/** The port of Lightning nodes that do not say another. */
const LIGHTNING_PORT = 9735

/** @param uri as UriText has it */
export function parsePeerUri(uri: string): { nodeId: NodeId; host: string; port: number } {
  const at = uri.indexOf('@')
  const address = uri.slice(at + 1)
  const colon = address.lastIndexOf(':')
  const hasPort = colon > address.lastIndexOf(']')
  const port = hasPort ? Number(address.slice(colon + 1)) : LIGHTNING_PORT
  const host = (hasPort ? address.slice(0, colon) : address).replace(/^\[|\]$/g, '')
  return { nodeId: nodeId(uri.slice(0, at)), host, port }
}

/** A resource's id from the path: hashes are lower-case inside. */
export const pathId = (id: string): string => (/^[0-9a-fA-F]{64}$/.test(id) ? id.toLowerCase() : id)
