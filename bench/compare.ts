/** Runs ways of doing the same in turn, so that what disturbs one disturbs the others as well. */

/** The first runs are slower: the code is not compiled yet. */
const WARM_UP_RUNS = 5
const RUNS_MIN = 7

/** A clock, ms. */
export type Clock = () => number

/**
 * What this process computed, in all its threads: those of the garbage collector and the compiler
 * too. What others do beside it does not count.
 */
export const cpuClock: Clock = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

export interface CompareOptions {
  /** How long to measure in all, about. */
  forMs: number
  /** By default the wall's. */
  clock?: Clock
  warmUpRuns?: number
  runsMin?: number
  /** Prepares each run, unmeasured. */
  before?: (name: string) => unknown
}

/** Medians of interleaved runs, ms a run. */
export async function medians<Name extends string>(
  ways: Record<Name, () => unknown>,
  options: CompareOptions,
): Promise<Record<Name, number>> {
  const { forMs, clock = () => performance.now() } = options
  const { warmUpRuns = WARM_UP_RUNS, runsMin = RUNS_MIN } = options
  const took = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]))
  const endMs = performance.now() + forMs
  for (let runs = 0; runs < warmUpRuns + runsMin || performance.now() < endMs; runs++) {
    for (const name in ways) {
      await options.before?.(name)
      const startMs = clock()
      await ways[name]()
      if (runs >= warmUpRuns) took.get(name)?.push(clock() - startMs)
    }
  }
  const entries = [...took].map(([name, runs]) => [name, median(runs)])
  return Object.fromEntries(entries) as Record<Name, number>
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
