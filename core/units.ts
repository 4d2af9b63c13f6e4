/** Numbers with units glued on, as log lines carry them, brought to base units: bytes, seconds. */

/**
 * What a unit is worth. Heroku counts memory in powers of 1,024 (a dyno of 512 MB has 2^29 bytes).
 * `%` becomes a ratio; pages and bare numbers stay as they are.
 */
const BYTES: Record<string, number> = {
  bytes: 1,
  b: 1,
  k: 2 ** 10,
  kb: 2 ** 10,
  m: 2 ** 20,
  mb: 2 ** 20,
  g: 2 ** 30,
  gb: 2 ** 30,
  tb: 2 ** 40,
}

const OTHERS: Record<string, number> = {
  '': 1,
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  // Unicode has two: this one is the Greek letter.
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  sec: 1,
  min: 60,
  h: 3600,
  pages: 1,
  '%': 0.01,
}

/** Beyond it a number is a mistake, and sums would lose their last digits. */
export const VALUE_MAX = 1e15

/** Below it a number is 0: no unit is finer than ns, and a histogram's bins reach down to the least. */
export const VALUE_MIN = 1e-9

const QUANTITY = /^([+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:e[+-]?\d{1,2})?)([a-zµ%]{0,5})$/i

/**
 * The value of `21.22MB`, `4ms`, `15664876.0kB`, `0.97` in its base unit. Undefined where it is no
 * number (NaN, nothing), the unit is not known, or the value is beyond 10^15. Less than 10^-9 is 0.
 */
export function parseQuantity(text: string): number | undefined {
  const [, digits, unit = ''] = QUANTITY.exec(text) ?? []
  if (digits === undefined) return undefined
  const number = Number(digits)
  const bytes = BYTES[unit.toLowerCase()]
  const factor = bytes ?? OTHERS[unit.toLowerCase()]
  if (factor === undefined) return undefined
  // Bytes are whole. Dividing keeps 4ms at 0.004 exactly, where times 1e-3 may be off by a bit.
  const scaled = factor < 1 ? number / Math.round(1 / factor) : number * factor
  const value = bytes === undefined ? scaled : Math.round(scaled)
  if (Math.abs(value) < VALUE_MIN) return 0
  return Math.abs(value) <= VALUE_MAX ? value : undefined
}
