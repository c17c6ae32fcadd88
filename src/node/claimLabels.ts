const CHILD = 'fee of the close of channel '
const HTLC = 'htlc of channel '

/** Names of the transactions of the wallet that a channel publishes, as long as it needs them. @param localId of the channel */
export const childLabel = (localId: string): string => CHILD + localId
export const htlcLabel = (localId: string): string => HTLC + localId

/** @returns the local id of the channel that publishes a transaction of the wallet; null for any other */
export function channelOfLabel(label: string | null): string | null {
  const kind = [CHILD, HTLC].find((k) => label?.startsWith(k))
  return kind === undefined ? null : label!.slice(kind.length)
}
