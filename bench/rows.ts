/** Rows of shelf.requests_1m by the day, made straight from cells. */
import { ABSENT, packRequests, requestColumns } from '../core/burst.ts'
import { Cells, type RequestCell } from '../core/cell.ts'
import { toSparse } from '../core/histogram.ts'
import { histogramToText, timeToText } from '../db/schema.ts'
import { random } from '../test/generator.ts'

/** The requests of an app in one minute, from a seed. */
export function makeMinute(
  app: string,
  bucketMs: number,
  requests: number,
  next: () => number,
): RequestCell {
  const columns = requestColumns(requests)
  for (let i = 0; i < requests; i++) {
    columns.timeMs[i] = bucketMs
    columns.serviceMs[i] = Math.round(Math.exp(3 + next() * 3))
    columns.connectMs[i] = Math.floor(next() * 4)
    columns.status[i] = next() < 0.95 ? 200 : 304
    columns.bytes[i] = Math.floor(next() * 40_000)
    columns.code[i] = ABSENT
  }
  const cells = new Cells()
  cells.addRequests(app, packRequests({ ...columns, processes: ['web'] }))
  return cells.requestCell(app, 'web', bucketMs)
}

/** The row as COPY reads it. */
export function rowOf(cell: RequestCell): string {
  const { app, process, bucketMs, requests, status, service, connect, bytes } = cell
  const columns = [
    ...[app, process, timeToText(bucketMs), requests, JSON.stringify(Object.fromEntries(status))],
    ...[histogramToText(toSparse(service)), histogramToText(toSparse(connect)), bytes],
  ]
  return `${columns.join('\t')}\n`
}

/** Rows of `minutes` minutes of each app, as COPY reads them. */
export function* makeRows(
  apps: number,
  sinceMs: number,
  minutes: number,
  requestsAMinute: number,
): Generator<string> {
  const next = random(1)
  for (let minute = 0; minute < minutes; minute++) {
    let rows = ''
    for (let app = 0; app < apps; app++) {
      rows += rowOf(makeMinute(`bench-${app}`, sinceMs + minute * 60_000, requestsAMinute, next))
    }
    yield rows
  }
}
