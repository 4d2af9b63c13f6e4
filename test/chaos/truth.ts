/**
 * What the rows must say, counted from the lines themselves, with no code of the product: by app,
 * process and minute, the number of requests, of each status and of each histogram bin, and bytes.
 */
import type { Sql } from '../../db/client.ts'

export interface Request {
  app: string
  process: string
  timeMs: number
  /** ms, whole */
  service: number
  connect: number
  status: number
  bytes: number
}

type Counts = Map<string, number>
/** By `app process minute`. */
export type Tally = Map<string, Counts>

const MINUTE_MS = 60_000

/** OpenTelemetry's base-2 exponential histogram at scale 5: bin i holds (2^(i/32), 2^((i+1)/32)]. */
function binOf(value: number): string {
  return value === 0 ? 'zero' : String(Math.ceil(Math.log2(value) * 32) - 1)
}

export function add(tally: Tally, request: Request): void {
  const minute = new Date(Math.floor(request.timeMs / MINUTE_MS) * MINUTE_MS).toISOString()
  const key = `${request.app} ${request.process} ${minute}`
  const counts = tally.get(key) ?? new Map<string, number>()
  tally.set(key, counts)
  const measures: [string, number][] = [
    ['requests', 1],
    [`status ${request.status}`, 1],
    [`service ${binOf(request.service)}`, 1],
    [`connect ${binOf(request.connect)}`, 1],
    ['bytes', request.bytes],
  ]
  for (const [name, by] of measures) counts.set(name, (counts.get(name) ?? 0) + by)
}

/** The rows in PostgreSQL as a tally. */
export async function tallyOfRows(sql: Sql): Promise<Tally> {
  const rows = await sql<{ key: string; counts: Record<string, string> }[]>`
    select app || ' ' || process || ' ' ||
        to_char(bucket at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as key,
      jsonb_build_object('requests', requests, 'bytes', bytes,
          'service zero', (service).zero, 'connect zero', (connect).zero)
        || (select coalesce(jsonb_object_agg('status ' || code, n), '{}')
            from jsonb_each(status) s (code, n))
        || (select coalesce(jsonb_object_agg('service ' || bin, n), '{}')
            from unnest((service).bins, (service).counts) b (bin, n))
        || (select coalesce(jsonb_object_agg('connect ' || bin, n), '{}')
            from unnest((connect).bins, (connect).counts) b (bin, n)) as counts
    from shelf.requests_1m`
  return new Map(
    rows.map(({ key, counts }) => [
      key,
      new Map(Object.entries(counts).map(([name, n]) => [name, Number(n)])),
    ]),
  )
}

export interface Comparison {
  /** Requests answered with 2xx that are not in the rows. */
  lost: number
  /** Requests in the rows more often than they were sent. */
  double: number
  /** The first few places where rows and truth differ, in words. */
  differences: string[]
}

const DIFFERENCES_MAX = 20

/**
 * Each count of `rows` must be that of `acked`; `maybe` are requests of frames that were given up
 * without an answer: nobody promised anything of them, so each may be there or not, but only once.
 */
export function compare(rows: Tally, acked: Tally, maybe: Tally): Comparison {
  const result: Comparison = { lost: 0, double: 0, differences: [] }
  for (const key of new Set([...rows.keys(), ...acked.keys()])) {
    const names = new Set([...(rows.get(key)?.keys() ?? []), ...(acked.get(key)?.keys() ?? [])])
    // The same request is missing in each of its measures: the worst of them tells how many are.
    const lost = new Map<string, number>()
    const double = new Map<string, number>()
    for (const name of names) {
      const have = rows.get(key)?.get(name) ?? 0
      const least = acked.get(key)?.get(name) ?? 0
      const most = least + (maybe.get(key)?.get(name) ?? 0)
      if (have >= least && have <= most) continue
      const measure = name.split(' ')[0] ?? name
      const by = measure === 'bytes' ? 1 : Math.max(least - have, have - most)
      const kind = have < least ? lost : double
      kind.set(measure, (kind.get(measure) ?? 0) + by)
      if (result.differences.length < DIFFERENCES_MAX) {
        const wanted = most === least ? String(least) : `${least} to ${most}`
        result.differences.push(`${key}: ${name} is ${have}, should be ${wanted}`)
      }
    }
    result.lost += Math.max(0, ...lost.values())
    result.double += Math.max(0, ...double.values())
  }
  return result
}
