/** Seeded randomness for the lifelike app: the same seed makes the same day. */

export interface Random {
  /** From 0 up to, but not, 1. */
  next(): number
  /** A whole number from 0 up to, but not, `below`. */
  whole(below: number): number
  between(least: number, most: number): number
  /** True in a share of the cases, 0 to 1. */
  chance(share: number): boolean
  pick<T>(list: readonly [T, ...T[]]): T
  /** `otherwise` gets what the shares leave of 1. */
  pickByShare<T>(list: readonly (readonly [T, share: number])[], otherwise: T): T
  /** Gaps between events that come at random and `mean` apart. */
  exponential(mean: number): number
  /** Times as services have them: most near the median, a long tail. */
  logNormal(median: number, sigma: number): number
  /** Lower-case letters and digits. */
  word(length: number): string
  hex(length: number): string
  uuid(): string
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

export function seededRandom(seed: number): Random {
  const next = mulberry32(seed)
  const whole = (below: number): number => Math.floor(next() * below)
  const hex = (length: number): string => {
    let digits = ''
    while (digits.length < length)
      digits += whole(2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return digits.slice(0, length)
  }
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return {
    next,
    whole,
    between: (least, most) => least + next() * (most - least),
    chance: (share) => next() < share,
    pick: (list) => list[whole(list.length)] ?? list[0],
    pickByShare(list, otherwise) {
      let at = next()
      for (const [item, share] of list) {
        at -= share
        if (at < 0) return item
      }
      return otherwise
    },
    exponential: (mean) => -Math.log(1 - next()) * mean,
    logNormal: (median, sigma) => median * Math.exp(sigma * normal()),
    word: (length) => Array.from({ length }, () => LETTERS[whole(LETTERS.length)]).join(''),
    hex,
    uuid: () => hex(32).replace(/(.{8})(....)(....)(....)/, '$1-$2-$3-$4-'),
  }
}

/** 32 bits of state, public domain: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
