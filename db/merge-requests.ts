/** Adds cells of requests to the rows of a table. */
import type { RequestCell } from '../core/cell.ts'
import { toSparse } from '../core/histogram.ts'
import type { Transaction } from './client.ts'
import { histogramToText, type Rows, timeToText } from './schema.ts'

/** Each row stands once in `rows`. */
export async function mergeRequests(
  sql: Transaction,
  into: Rows,
  rows: readonly RequestCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.requests_${into}`)} as requests
      (app, process, bucket, requests, status, service, connect, bytes)
    select app, process, bucket, requests, status::jsonb, service::shelf.histogram,
      connect::shelf.histogram, bytes
    from unnest(
      ${rows.map(({ app }) => app)}::text[],
      ${rows.map(({ process }) => process)}::text[],
      ${rows.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[],
      ${rows.map(({ requests }) => requests)}::bigint[],
      ${rows.map(({ status }) => statusToText(status))}::text[],
      ${rows.map(({ service }) => histogramToText(toSparse(service)))}::text[],
      ${rows.map(({ connect }) => histogramToText(toSparse(connect)))}::text[],
      ${rows.map(({ bytes }) => bytes)}::bigint[]
    ) as cells (app, process, bucket, requests, status, service, connect, bytes)
    on conflict (app, process, bucket) do update set
      requests = requests.requests + excluded.requests,
      status = shelf.add_counts(requests.status, excluded.status),
      service = shelf.merge(requests.service, excluded.service),
      connect = shelf.merge(requests.connect, excluded.connect),
      bytes = least(requests.bytes + excluded.bytes, ${Number.MAX_SAFE_INTEGER})`
}

/** JSON. An object of it would be slow: by their numbers, its keys are those of an array. */
const statusToText = (status: RequestCell['status']): string =>
  `{${Array.from(status, ([code, n]) => `"${code}":${n}`).join()}}`
