/** Runs ways of doing the same in turn, so that what disturbs one disturbs the others as well. */

/** The first runs are slower: the code is not compiled yet. */
const WARM_UP_RUNS = 5
const RUNS_MIN = 7

/**
 * Medians of interleaved runs, ms a run.
 * @param forMs how long to measure in all, about
 */
export async function medians<Name extends string>(
  ways: Record<Name, () => unknown>,
  forMs: number,
): Promise<Record<Name, number>> {
  const took = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]))
  const endMs = performance.now() + forMs
  for (let runs = 0; runs < WARM_UP_RUNS + RUNS_MIN || performance.now() < endMs; runs++) {
    for (const name in ways) {
      const startMs = performance.now()
      await ways[name]()
      if (runs >= WARM_UP_RUNS) took.get(name)?.push(performance.now() - startMs)
    }
  }
  const entries = [...took].map(([name, runs]) => [name, median(runs)])
  return Object.fromEntries(entries) as Record<Name, number>
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
