/** Blocks that the attacker may take from the honest, by leaving their transactions out or by undoing them. */
export const STEAL = 8
/** Blocks that it may undo at a time. */
export const REORG = 6
