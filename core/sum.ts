/** Sums that do not depend on the order of their parts, so that a replay gives the same rows. */

/** 2^-24, about 6e-8: for seconds and ratios finer than what logs print. */
const QUANTUM = 2 ** -24

/**
 * The value as it goes into a sum: a whole multiple of 2^-24. Such sums are exact below 2^29, and
 * sums of whole numbers (bytes, ms, counts) below 2^53: doubles then round nothing.
 */
export function summand(value: number): number {
  // Adding 0 makes -0 a plain 0: JSON has no other.
  return Number.isInteger(value) ? value : Math.round(value / QUANTUM) * QUANTUM + 0
}
