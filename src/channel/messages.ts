import type { ChannelMessage } from '../wire/registry.ts'

/** One message of the protocol by its name. */
export type MessageFor<Name extends ChannelMessage['type']> = Extract<ChannelMessage, { readonly type: Name }>
