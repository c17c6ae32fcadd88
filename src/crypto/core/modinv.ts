// Modular inversion by "divsteps": Bernstein-Yang, "Fast constant-time gcd computation and modular
// inversion" (2019), with the half-integer start delta = 1/2 (590 steps suffice for 256 bits).
// 30 steps at a time are collected in a 2x2 matrix and applied to 9 signed 30-bit limbs.
import { MODINV_AREA } from './memory.ts';

const M30: i32 = 0x3fffffff;
const LIMBS: usize = 36;

const f = MODINV_AREA, g = f + 48, d = g + 48, e = d + 48;
const matrix = e + 48; // of the last 30 steps, times 2^30: u, v, q, r, each i32; ends at 208

function toLimbs(r: usize, words: usize): void {
  const a = load<u64>(words), b = load<u64>(words, 8), c = load<u64>(words, 16), h = load<u64>(words, 24);
  store<i32>(r, <i32>a & M30); store<i32>(r, <i32>(a >> 30) & M30, 4); store<i32>(r, <i32>((a >> 60) | (b << 4)) & M30, 8);
  store<i32>(r, <i32>(b >> 26) & M30, 12); store<i32>(r, <i32>((b >> 56) | (c << 8)) & M30, 16); store<i32>(r, <i32>(c >> 22) & M30, 20);
  store<i32>(r, <i32>((c >> 52) | (h << 12)) & M30, 24); store<i32>(r, <i32>(h >> 18) & M30, 28); store<i32>(r, <i32>(h >> 48), 32);
}
function fromLimbs(words: usize, a: usize): void {
  const l2 = <u64>load<u32>(a, 8), l4 = <u64>load<u32>(a, 16), l6 = <u64>load<u32>(a, 24);
  store<u64>(words, <u64>load<u32>(a) | (<u64>load<u32>(a, 4) << 30) | (l2 << 60));
  store<u64>(words, (l2 >> 4) | (<u64>load<u32>(a, 12) << 26) | (l4 << 56), 8);
  store<u64>(words, (l4 >> 8) | (<u64>load<u32>(a, 20) << 22) | (l6 << 52), 16);
  store<u64>(words, (l6 >> 12) | (<u64>load<u32>(a, 28) << 18) | (<u64>load<u32>(a, 32) << 48), 24);
}

/** Context of a modulus: 9 limbs, then (at 36) its inverse modulo 2^30. */
export function modContext(ctx: usize, modulusWords: usize): void {
  toLimbs(ctx, modulusWords);
  const m = load<i32>(ctx);
  let inv = m; // Newton: correct bits double from 3
  for (let i = 0; i < 4; i++) inv *= 2 - m * inv;
  store<i32>(ctx, inv & M30, 36);
}

/** 30 constant-time steps on the low bits; D = delta + 1/2. Returns the new D. */
function steps30(D: i32, f0: i32, g0: i32): i32 {
  let fl = f0, gl = g0, u = 1, v = 0, q = 0, r = 1;
  for (let i = 0; i < 30; i++) {
    const odd = -(gl & 1);
    const swap = odd & ~((D - 1) >> 31); // delta > 0 and g odd
    gl += ((fl ^ swap) - swap) & odd; // g - f when swapping, g + f when only odd
    q += ((u ^ swap) - swap) & odd;
    r += ((v ^ swap) - swap) & odd;
    fl += gl & swap; // f + (g - f) = g
    u += q & swap;
    v += r & swap;
    gl >>= 1;
    u <<= 1;
    v <<= 1;
    D = ((D ^ swap) - swap) + 1 - swap; // 2 - D when swapping, else D + 1
  }
  store<i32>(matrix, u);
  store<i32>(matrix, v, 4);
  store<i32>(matrix, q, 8);
  store<i32>(matrix, r, 12);
  return D;
}

/** The same 30 steps, jumping over zero bits and cancelling up to 6 bits of g at once. Variable time. */
function steps30Var(D: i32, f0: i32, g0: i32): i32 {
  let fl = f0, gl = g0, u = 1, v = 0, q = 0, r = 1, left = 30;
  while (true) {
    const zeros = ctz(gl | (-1 << left));
    gl >>= zeros; u <<= zeros; v <<= zeros; D += zeros; left -= zeros;
    if (left == 0) break;
    if (D > 0) {
      D = 1 - D;
      let t = fl; fl = gl; gl = -t;
      t = u; u = q; q = -t;
      t = v; v = r; r = -t;
    }
    const can = min(left, 1 - D); // so many steps follow without a swap
    const mask = can >= 6 ? 63 : (1 << can) - 1;
    const k = (gl * fl * (fl * fl - 2)) & mask; // -g/f modulo 2^can
    gl += fl * k; q += u * k; r += v * k;
  }
  store<i32>(matrix, u);
  store<i32>(matrix, v, 4);
  store<i32>(matrix, q, 8);
  store<i32>(matrix, r, 12);
  return D;
}

/** (f, g) = matrix * (f, g) / 2^30 */
function updateFG(len: usize): void {
  const u = <i64>load<i32>(matrix), v = <i64>load<i32>(matrix, 4), q = <i64>load<i32>(matrix, 8), r = <i64>load<i32>(matrix, 12);
  let a = <i64>load<i32>(f), b = <i64>load<i32>(g);
  let cf = (u * a + v * b) >> 30, cg = (q * a + r * b) >> 30;
  for (let i: usize = 4; i < len; i += 4) {
    a = <i64>load<i32>(f + i); b = <i64>load<i32>(g + i);
    cf += u * a + v * b; cg += q * a + r * b;
    store<i32>(f + i - 4, <i32>cf & M30); cf >>= 30;
    store<i32>(g + i - 4, <i32>cg & M30); cg >>= 30;
  }
  store<i32>(f + len - 4, <i32>cf); store<i32>(g + len - 4, <i32>cg);
}

/** (d, e) = matrix * (d, e) / 2^30 modulo m, keeping both in (-2m, m) */
function updateDE(ctx: usize): void {
  const u = <i64>load<i32>(matrix), v = <i64>load<i32>(matrix, 4), q = <i64>load<i32>(matrix, 8), r = <i64>load<i32>(matrix, 12);
  const sd = load<i32>(d, 32) >> 31, se = load<i32>(e, 32) >> 31;
  let a = <i64>load<i32>(d), b = <i64>load<i32>(e);
  let cd = u * a + v * b, ce = q * a + r * b;
  let kd = (<i32>u & sd) + (<i32>v & se), ke = (<i32>q & sd) + (<i32>r & se);
  const inv = load<i32>(ctx, 36);
  kd -= (inv * <i32>cd + kd) & M30; // makes cd + kd*m divisible by 2^30
  ke -= (inv * <i32>ce + ke) & M30;
  const md = <i64>kd, me = <i64>ke;
  let m = <i64>load<i32>(ctx);
  cd = (cd + m * md) >> 30; ce = (ce + m * me) >> 30;
  for (let i: usize = 4; i < LIMBS; i += 4) {
    a = <i64>load<i32>(d + i); b = <i64>load<i32>(e + i); m = <i64>load<i32>(ctx + i);
    cd += u * a + v * b + m * md; ce += q * a + r * b + m * me;
    store<i32>(d + i - 4, <i32>cd & M30); cd >>= 30;
    store<i32>(e + i - 4, <i32>ce & M30); ce >>= 30;
  }
  store<i32>(d, <i32>cd, 32); store<i32>(e, <i32>ce, 32);
}

/** a = (negate ? -a : a), then + (add & m), limbs carried */
function adjust(a: usize, ctx: usize, negate: i32, addModulus: i32): void {
  let c = 0;
  for (let i: usize = 0; i < LIMBS; i += 4) {
    c += (load<i32>(a + i) ^ negate) - negate + (load<i32>(ctx + i) & addModulus);
    if (i < 32) { store<i32>(a + i, c & M30); c >>= 30; } else store<i32>(a + i, c);
  }
}

/** r = 1/a mod m as 256-bit words (0 for 0); a < m, m odd. */
export function modInverse(rWords: usize, aWords: usize, ctx: usize, constantTime: bool): void {
  memory.copy(f, ctx, LIMBS);
  toLimbs(g, aWords);
  memory.fill(d, 0, LIMBS);
  memory.fill(e, 0, LIMBS);
  store<i32>(e, 1);
  let D = 1;
  if (constantTime) {
    for (let i = 0; i < 20; i++) {
      D = steps30(D, load<i32>(f), load<i32>(g));
      updateDE(ctx);
      updateFG(LIMBS);
    }
  } else {
    let len = LIMBS;
    while (true) {
      D = steps30Var(D, load<i32>(f), load<i32>(g));
      updateDE(ctx);
      updateFG(len);
      let any = 0;
      for (let i: usize = 0; i < len; i += 4) any |= load<i32>(g + i);
      if (!any) break;
      const ft = load<i32>(f + len - 4), gt = load<i32>(g + len - 4);
      if (len > 4 && (ft == 0 || ft == -1) && (gt == 0 || gt == -1)) { // drop the top limb, keep its sign
        len -= 4;
        store<i32>(f + len - 4, load<i32>(f + len - 4) | (ft << 30));
        store<i32>(g + len - 4, load<i32>(g + len - 4) | (gt << 30));
      }
    }
    if (len < LIMBS) store<i32>(f, load<i32>(f + len - 4), 32); // sign of f where the code below looks
  }
  const negative = load<i32>(f, 32) >> 31; // f is now 1 or -1
  adjust(d, ctx, 0, load<i32>(d, 32) >> 31);
  adjust(d, ctx, negative, 0);
  adjust(d, ctx, 0, load<i32>(d, 32) >> 31);
  fromLimbs(rWords, d);
}
