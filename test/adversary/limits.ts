/** Blocks that the attacker may take from the honest, by leaving their transactions out or by undoing them. */
export const STEAL = 8
/** Blocks that it may undo at a time. */
export const REORG = 6
/** The same of schedules that go beyond it. */
export const DEEP = 30
/** So few that a peer's delay does not run out in blocks that nobody else has mined: what is revoked would be the peer's again. */
export const DEEPEST = 14
