import fc from 'fast-check'

/**
 * `npm test` looks at the same cases every time, so that a red run is a change's doing and a green one can be repeated. Other cases:
 * FULMEN_SEED=7 npm test, or any seed at all with FULMEN_SEED=random.
 */
const wanted = (process.env.FULMEN_SEED ?? '1').split(':')[0]!
const seed = wanted === 'random' ? Date.now() | 0 : Number(wanted) | 0
fc.configureGlobal({ seed })
