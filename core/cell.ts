/** Cells: what a stretch of the log adds up to, by app, process type and minute of the event. */
import { ABSENT, type RequestColumns } from './burst.ts'
import {
  emptyHistogram,
  type Histogram,
  merge as mergeHistogram,
  record as recordValue,
  recordWhole,
} from './histogram.ts'
import { addCounts, addUp, type LedgerCounts, MINUTE_MS, minuteOf } from './ledger.ts'
import type { Marker } from './marker.ts'
import type { Signals } from './signals.ts'
import { summand } from './sum.ts'

/** The requests of one app and process type in one minute. */
export interface RequestCell {
  app: string
  process: string
  /** Start of the minute, UTC, Unix ms. */
  bucketMs: number
  requests: number
  /** Requests by HTTP status; those without one are in no entry. */
  status: Map<number, number>
  /** Service time, ms, of the requests that had one. */
  service: Histogram
  /** Connect time, ms, of the requests that had one. */
  connect: Histogram
  bytes: number
}

/** The ledger of one app in one minute. */
export interface LedgerCell {
  /** Empty where the app is not known: the records themselves are gone. */
  app: string
  bucketMs: number
  counts: LedgerCounts
}

/** What names a metric's cells: of one app, process type, metric and source, in one minute. */
export interface MetricKey {
  app: string
  process: string
  name: string
  source: string
  bucketMs: number
}

/** States that were sampled: memory, load. */
export interface GaugeCell extends MetricKey {
  count: number
  sum: number
  min: number
  max: number
  /** The newest, and its time, Unix ms; of two at one time the greater. */
  last: number
  lastMs: number
}

/** Things that add up: errors by code, counts. */
export interface CounterCell extends MetricKey {
  sum: number
}

/** Values that are distributed: latencies. */
export interface MeasureCell extends MetricKey {
  histogram: Histogram
}

/** One line's marker. The same one twice is one. */
export interface MarkerCell extends Marker {
  app: string
}

/** From when to when an instance of a dyno was seen, Unix ms. */
export interface DynoCell {
  app: string
  dyno: string
  instance: string
  firstMs: number
  lastMs: number
}

/** Cells by key; merging is additive, so their order never matters. */
export class Cells {
  readonly requests = new Map<string, RequestCell>()
  readonly ledger = new Map<string, LedgerCell>()
  readonly gauges = new Map<string, GaugeCell>()
  readonly counters = new Map<string, CounterCell>()
  readonly measures = new Map<string, MeasureCell>()
  readonly markers = new Map<string, MarkerCell>()
  readonly dynos = new Map<string, DynoCell>()

  requestCell(app: string, process: string, bucketMs: number): RequestCell {
    const key = `${bucketMs}\n${app}\n${process}`
    let cell = this.requests.get(key)
    if (cell === undefined) {
      cell = {
        app,
        process,
        bucketMs,
        requests: 0,
        status: new Map(),
        service: emptyHistogram(),
        connect: emptyHistogram(),
        bytes: 0,
      }
      this.requests.set(key, cell)
    }
    return cell
  }

  addRequests(app: string, columns: RequestColumns): void {
    const { timeMs, process } = columns
    // A burst mostly lies in one minute and one process type: rows are added by runs of these, a
    // column at a time.
    for (let from = 0; from < timeMs.length; ) {
      const bucketMs = minuteOf(timeMs[from] as number)
      const processIndex = process[from] as number
      const to = endOfRun(columns, from, bucketMs, processIndex)
      const cell = this.requestCell(app, columns.processes[processIndex] as string, bucketMs)
      addRun(cell, columns, from, to)
      if (columns.codes.length > 0) this.addCodes(cell, columns, from, to)
      from = to
    }
  }

  private addCodes(cell: RequestCell, columns: RequestColumns, from: number, to: number): void {
    const { app, process, bucketMs } = cell
    for (let i = from; i < to; i++) {
      const code = columns.code[i] as number
      if (code === ABSENT) continue
      const name = columns.codes[code] as string
      this.addCounter({ app, process, name, source: '', bucketMs, sum: 1 })
    }
  }

  addSignals(app: string, { points, markers, dynos }: Signals): void {
    for (const { kind, timeMs, process, name, source, value } of points) {
      const key = { app, process, name, source, bucketMs: minuteOf(timeMs) }
      if (kind === 'counter') this.addCounter({ ...key, sum: summand(value) })
      else if (kind === 'gauge') {
        const one = {
          count: 1,
          sum: summand(value),
          min: value,
          max: value,
          last: value,
          lastMs: timeMs,
        }
        this.addGauge({ ...key, ...one })
      } else {
        const histogram = emptyHistogram()
        recordValue(histogram, value)
        this.addMeasure({ ...key, histogram })
      }
    }
    for (const marker of markers) this.addMarker({ app, ...marker })
    for (const { timeMs, dyno, instance } of dynos) {
      this.addDyno({ app, dyno, instance, firstMs: timeMs, lastMs: timeMs })
    }
  }

  addGauge(more: GaugeCell): void {
    const cell = this.gauges.get(metricKey(more))
    if (cell === undefined) {
      this.gauges.set(metricKey(more), { ...more })
      return
    }
    cell.count += more.count
    cell.sum += more.sum
    cell.min = Math.min(cell.min, more.min)
    cell.max = Math.max(cell.max, more.max)
    const newer =
      more.lastMs > cell.lastMs || (more.lastMs === cell.lastMs && more.last > cell.last)
    if (newer) cell.last = more.last
    cell.lastMs = Math.max(cell.lastMs, more.lastMs)
  }

  addCounter(more: CounterCell): void {
    const cell = this.counters.get(metricKey(more))
    if (cell === undefined) this.counters.set(metricKey(more), { ...more })
    else cell.sum += more.sum
  }

  addMeasure(more: MeasureCell): void {
    const cell = this.measures.get(metricKey(more))
    if (cell === undefined) {
      const histogram = emptyHistogram()
      mergeHistogram(histogram, more.histogram)
      this.measures.set(metricKey(more), { ...more, histogram })
    } else {
      mergeHistogram(cell.histogram, more.histogram)
    }
  }

  addMarker(marker: MarkerCell): void {
    const { app, timeMs, kind, process, dyno, text } = marker
    const key = [app, timeMs, kind, process, dyno, text].join('\n')
    const before = this.markers.get(key)
    // A line that names who did it may come twice, once without: the name stays.
    if (before === undefined || before.by < marker.by) this.markers.set(key, { ...marker })
  }

  addDyno(more: DynoCell): void {
    const key = [more.app, more.dyno, more.instance].join('\n')
    const cell = this.dynos.get(key)
    if (cell === undefined) {
      this.dynos.set(key, { ...more })
      return
    }
    cell.firstMs = Math.min(cell.firstMs, more.firstMs)
    cell.lastMs = Math.max(cell.lastMs, more.lastMs)
  }

  addLedger(app: string, bucketMs: number, counts: LedgerCounts): void {
    const key = `${bucketMs}\n${app}`
    const cell = this.ledger.get(key)
    if (cell === undefined) this.ledger.set(key, { app, bucketMs, counts: { ...counts } })
    else addCounts(cell.counts, counts)
  }

  mergeRequestCell(other: RequestCell): void {
    const cell = this.requestCell(other.app, other.process, other.bucketMs)
    cell.requests += other.requests
    for (const [status, n] of other.status) addStatus(cell, status, n)
    mergeHistogram(cell.service, other.service)
    mergeHistogram(cell.connect, other.connect)
    cell.bytes = addUp(cell.bytes, other.bytes)
  }
}

function metricKey({ app, process, name, source, bucketMs }: MetricKey): string {
  return `${bucketMs}\n${app}\n${process}\n${name}\n${source}`
}

function addStatus(cell: RequestCell, status: number, n: number): void {
  cell.status.set(status, (cell.status.get(status) ?? 0) + n)
}

/** Where the rows from `from` on cease to be of this minute and process type. */
function endOfRun(
  { timeMs, process }: RequestColumns,
  from: number,
  bucketMs: number,
  processIndex: number,
): number {
  let to = from + 1
  while (
    to < timeMs.length &&
    process[to] === processIndex &&
    (timeMs[to] as number) >= bucketMs &&
    (timeMs[to] as number) < bucketMs + MINUTE_MS
  ) {
    to++
  }
  return to
}

function addRun(cell: RequestCell, columns: RequestColumns, from: number, to: number): void {
  cell.requests += to - from
  addStatuses(cell, columns.status, from, to)
  recordWhole(cell.service, columns.serviceMs, from, to)
  recordWhole(cell.connect, columns.connectMs, from, to)
  let bytes = 0
  for (let i = from; i < to; i++) {
    const more = columns.bytes[i] as number
    if (more !== ABSENT) bytes += more
  }
  cell.bytes = addUp(cell.bytes, bytes)
}

/** Most requests have the status of the one before. */
function addStatuses(cell: RequestCell, status: Float64Array, from: number, to: number): void {
  for (let at = from; at < to; ) {
    const code = status[at] as number
    let end = at + 1
    while (end < to && status[end] === code) end++
    if (code !== ABSENT) addStatus(cell, code, end - at)
    at = end
  }
}
