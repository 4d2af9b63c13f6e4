/** The dynos of the lifelike app: what they are now, and what they say about themselves. */
import type { Random } from './demo-random.ts'
import type { Memory } from './demo-samples.ts'

export type DynoType = 'web' | 'worker' | 'run'

/** What runs in each; the real command has a secret in its arguments. */
export const COMMANDS: Record<DynoType, string> = {
  web: 'bundle exec puma -p $PORT',
  worker: 'bundle exec sidekiq --license',
  run: 'rails console',
}

interface Size {
  name: string
  quotaMb: number
  /** What the app takes of it when all is well. */
  usualMb: number
}

export const SIZES: Record<DynoType, Size> = {
  web: { name: 'Performance-M', quotaMb: 2560, usualMb: 700 },
  worker: { name: 'Standard-1X', quotaMb: 512, usualMb: 300 },
  run: { name: 'Standard-1X', quotaMb: 512, usualMb: 200 },
}

export interface Dyno {
  type: DynoType
  number: number
  /** `web.1` */
  name: string
  /** Another whenever it is started anew, and so are the fields below. */
  instance: string
  state: 'starting' | 'up' | 'crashed'
  /** When it began, and when it is (or will be) ready for requests, Unix ms. */
  bornMs: number
  readyMs: number
  usualMb: number
  /** Memory that it loses, MB a second since `leakSinceMs`. */
  leakMbPerS: number
  leakSinceMs: number
  pagesIn: number
  pagesOut: number
  /** Nobody was told that it started: its line was lost. */
  isUnannounced: boolean
}

export function newDyno(
  type: DynoType,
  number: number,
  random: Random,
  bornMs: number,
  bootMs: number,
): Dyno {
  return {
    type,
    number,
    name: `${type}.${number}`,
    instance: random.uuid(),
    state: 'starting',
    bornMs,
    readyMs: bornMs + bootMs,
    usualMb: SIZES[type].usualMb * random.between(0.9, 1.1),
    leakMbPerS: 0,
    leakSinceMs: bornMs,
    pagesIn: 20_000 + random.whole(5000),
    pagesOut: 9000 + random.whole(5000),
    isUnannounced: false,
  }
}

/** What is over the quota is swapped out. */
export function memoryOf(dyno: Dyno, timeMs: number, random: Random): Memory {
  const { quotaMb } = SIZES[dyno.type]
  const leakedMb = (dyno.leakMbPerS * Math.max(0, timeMs - dyno.leakSinceMs)) / 1000
  const usedMb = dyno.usualMb * random.between(0.98, 1.02) + leakedMb
  const rssMb = Math.min(usedMb, quotaMb * 0.98)
  return { rssMb, cacheMb: random.between(1, 8), swapMb: usedMb - rssMb, quotaMb }
}

/** Runnable processes on average: the busier the app, the more. */
export function loadOf(dyno: Dyno, tide: number, random: Random): number {
  return (dyno.type === 'web' ? 0.4 * tide : 0.2) * random.between(0.5, 1.5)
}
