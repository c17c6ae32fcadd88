import type { FundedState } from '../state.ts'
import type { ChannelContext, ChannelInput, Turn } from '../types.ts'
import { negotiating } from './negotiating.ts'
import { normal } from './normal.ts'
import { awaitReady } from './ready.ts'
import { shutdown } from './shutdown.ts'

/** The phase of a funded channel handles an input. */
export function funded(state: FundedState, input: ChannelInput, ctx: ChannelContext): Turn {
  switch (state.tag) {
    case 'await-ready':
      return awaitReady(state, input, ctx)
    case 'normal':
      return normal(state, input, ctx)
    case 'shutdown':
      return shutdown(state, input, ctx)
    case 'negotiating':
      return negotiating(state, input, ctx)
  }
}
