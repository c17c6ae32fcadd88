// The public keys of a commitment: BOLT 3 §key-derivation. All values are public: variable time.
import { FE } from './field.ts';
import { wordsFromBytes } from './memory.ts';
import { AFFINE, INF, JACOBIAN, pointFromAffine, pointsToAffineVar } from './point.ts';
import { parsePublicKey, writePublicKey33 } from './publicKey.ts';
import { addGenerator, mulTwo } from './publicMul.ts';
import { scValidMask } from './scalar.ts';
import { sha256 } from './sha256.ts';

const KEY: usize = 33;
const both = memory.data(80, 16), t = memory.data(32, 16), t2 = memory.data(32, 16);
const base = memory.data(80, 16), commitment = memory.data(80, 16);
const points = memory.data(5 * 112, 16), affine = memory.data(5 * 80, 16);

/** t = SHA-256(a || b) as a scalar; false when it is 0 or too large, which no one will ever see */
function hashOf(t: usize, a: usize, b: usize): bool {
  memory.copy(both, a, KEY);
  memory.copy(both + KEY, b, KEY);
  sha256(both, both, 2 * KEY);
  wordsFromBytes(t, both);
  return scValidMask(t) != 0;
}

/**
 * Keys, 33 bytes each, one behind the other: of each of `count` ≤ 4 basepoints B, B + SHA-256(point || B)·G; then, unless
 * revocation33 is 0, the revocation key. False when one is not a point or comes out at infinity.
 */
export function commitmentKeys(out: usize, point33: usize, basepoints: usize, count: i32, revocation33: usize): bool {
  for (let i = 0; i < count; i++) {
    const basepoint = basepoints + <usize>i * KEY, p = points + <usize>i * JACOBIAN;
    if (!parsePublicKey(base, basepoint, 33) || !hashOf(t, point33, basepoint)) return false;
    pointFromAffine(p, base, base + FE);
    addGenerator(p, t);
  }
  if (revocation33) {
    if (!parsePublicKey(base, revocation33, 33) || !parsePublicKey(commitment, point33, 33)) return false;
    if (!hashOf(t, revocation33, point33) || !hashOf(t2, point33, revocation33)) return false;
    mulTwo(points + <usize>count * JACOBIAN, t, base, t2, commitment);
    count++;
  }
  for (let i = 0; i < count; i++) if (load<i32>(points + <usize>i * JACOBIAN, INF)) return false;
  pointsToAffineVar(affine, points, count);
  for (let i = 0; i < count; i++) writePublicKey33(out + <usize>i * KEY, affine + <usize>i * AFFINE);
  return true;
}
