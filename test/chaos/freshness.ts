/** How long after its answer a request is a row: measured by looking at the rows all the time. */
import { connect } from '../../db/client.ts'
import type { Drain } from './drains.ts'

const POLL_MS = 250

/** Follows drains that never give up: of theirs, as many rows as answers are seen in their order. */
export async function followFreshness(
  databaseUrl: string,
  drains: readonly Drain[],
  stop: AbortSignal,
): Promise<number[]> {
  const sql = connect(databaseUrl, { max: 1 })
  const latencies: number[] = []
  const seen = new Map<string, number>()
  while (!stop.aborted) {
    await Bun.sleep(POLL_MS)
    try {
      const rows = await sql<{ app: string; requests: number }[]>`
        select app, sum(requests)::float8 as requests from shelf.requests_1m group by app`
      const now = Date.now()
      for (const { app, answers } of drains) {
        const requests = rows.find((row) => row.app === app)?.requests ?? 0
        let at = seen.get(app) ?? 0
        for (let answer = answers[at]; answer; answer = answers[++at]) {
          if (answer.requests > requests) break
          latencies.push(now - answer.atMs)
        }
        seen.set(app, at)
      }
    } catch {
      // PostgreSQL is down: what waits gets older.
    }
  }
  await sql.end({ timeout: 1 })
  return latencies
}

/** The nearest-rank percentile of the values; 0 where there are none. */
export function percentile(values: readonly number[], quantile: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0
}
