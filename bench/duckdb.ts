/** DuckDB, and what Shelf's aggregation is in its SQL. */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'

export async function openDuckDB(threads: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) })
  return await instance.connect()
}

/** What reads the events of a file. */
export const events = {
  parquet: (path: string): string => `read_parquet('${path}')`,
  ndjson: (path: string): string =>
    `read_json('${path}', format = 'newline_delimited', columns = {app: 'VARCHAR', ` +
    `process: 'VARCHAR', time_ms: 'BIGINT', service: 'INTEGER', connect: 'INTEGER', ` +
    `status: 'INTEGER', bytes: 'BIGINT', code: 'VARCHAR'})`,
}

/** The bin of a value, as core/histogram.ts has it; -99999 is that of 0. */
const bin = (value: string): string =>
  `if(${value} = 0, -99999, ceil(log2(${value}) * 32)::integer - 1)`

const histogram = (value: string): string =>
  `histogram(${bin(value)}) as ${value}, sum(${value}) as ${value}_sum, ` +
  `min(${value}) as ${value}_min, max(${value}) as ${value}_max`

/** Rows by app, process type and minute, with all that requests_1m holds. */
export function requestsSql(source: string): string {
  return `select app, process, time_ms // 60000 as minute, count(*) as requests,
    histogram(status) as status, sum(bytes) as bytes, ${histogram('service')},
    ${histogram('connect')}
    from ${source} group by app, process, minute`
}
