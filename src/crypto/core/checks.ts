// For the build with assertions, which tests run: traps when an element is not what the bounds in field.ts say.

/** |limb| < 1.02·2^29 */
export function checkLoose(a: usize): void {
  for (let i: usize = 0; i < 36; i += 4) if (abs(load<i32>(a + i)) > 547608330) unreachable();
}
/** limbs in [0, 2^29), limb 2 in (−2^20, 2^29 + 2^20) */
export function checkCarried(a: usize): void {
  for (let i: usize = 0; i < 36; i += 4) {
    const slack = i == 8 ? 1 << 20 : 0, limb = load<i32>(a + i);
    if (limb <= -slack - 1 || limb >= (1 << 29) + slack) unreachable();
  }
}
