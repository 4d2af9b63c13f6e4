/** Cells: what a stretch of the log adds up to, by app, process type and minute of the event. */
import { ABSENT, type PackedRequests } from './burst.ts'
import { addedAt, highestOf, type PackedColumn, valueAt } from './column.ts'
import {
  emptyHistogram,
  type Histogram,
  merge as mergeHistogram,
  recordTally,
  record as recordValue,
} from './histogram.ts'
import { addCounts, addUp, type LedgerCounts, MINUTE_MS, minuteOf } from './ledger.ts'
import type { Marker } from './marker.ts'
import type { Signals } from './signals.ts'
import { summand } from './sum.ts'
import { type Tally, tally } from './tally.ts'

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
  /** The last ones by app, mostly those that are asked for next: to make a key takes longer. */
  private readonly lastRequests = new Map<string, RequestCell>()
  private readonly lastLedger = new Map<string, LedgerCell>()

  requestCell(app: string, process: string, bucketMs: number): RequestCell {
    const last = this.lastRequests.get(app)
    if (last?.bucketMs === bucketMs && last.process === process) return last
    const cell = this.requestCellByKey(app, process, bucketMs)
    this.lastRequests.set(app, cell)
    return cell
  }

  private requestCellByKey(app: string, process: string, bucketMs: number): RequestCell {
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

  addRequests(app: string, requests: PackedRequests): void {
    // A burst mostly lies in one minute and one process type: rows are added by runs of these, a
    // column at a time.
    for (let from = 0; from < requests.rows; ) {
      const bucketMs = minuteOf(valueAt(requests.timeMs, from))
      const process = valueAt(requests.process, from)
      const to = endOfRun(requests, from, bucketMs, process)
      const cell = this.requestCell(app, requests.processes[process] as string, bucketMs)
      addRun(cell, requests, from, to)
      if (requests.codes.length > 0) this.addCodes(cell, requests, from, to)
      from = to
    }
  }

  private addCodes(cell: RequestCell, requests: PackedRequests, from: number, to: number): void {
    const { app, process, bucketMs } = cell
    const { length, values, counts } = tally(requests.code, from, to)
    for (let i = 0; i < length; i++) {
      const code = values[i] as number
      if (code === ABSENT) continue
      const name = requests.codes[code] as string
      this.addCounter({ app, process, name, source: '', bucketMs, sum: counts[i] as number })
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
    const key = metricKey(more)
    const cell = this.counters.get(key)
    if (cell === undefined) this.counters.set(key, { ...more })
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
    const last = this.lastLedger.get(app)
    if (last?.bucketMs === bucketMs) addCounts(last.counts, counts)
    else this.lastLedger.set(app, this.addLedgerByKey(app, bucketMs, counts))
  }

  private addLedgerByKey(app: string, bucketMs: number, counts: LedgerCounts): LedgerCell {
    const key = `${bucketMs}\n${app}`
    let cell = this.ledger.get(key)
    if (cell === undefined) {
      cell = { app, bucketMs, counts: { ...counts } }
      this.ledger.set(key, cell)
    } else addCounts(cell.counts, counts)
    return cell
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
  { rows, timeMs, process }: PackedRequests,
  from: number,
  bucketMs: number,
  processIndex: number,
): number {
  const endMs = bucketMs + MINUTE_MS
  // Mostly nothing of that width can be of another.
  if (process.width === 0 && timeMs.base >= bucketMs && highestOf(timeMs) < endMs) return rows
  for (let row = from + 1; row < rows; row++) {
    const ms = valueAt(timeMs, row)
    if (ms < bucketMs || ms >= endMs || valueAt(process, row) !== processIndex) return row
  }
  return rows
}

function addRun(cell: RequestCell, requests: PackedRequests, from: number, to: number): void {
  cell.requests += to - from
  addStatuses(cell, tally(requests.status, from, to))
  recordTally(cell.service, tally(requests.serviceMs, from, to))
  recordTally(cell.connect, tally(requests.connectMs, from, to))
  cell.bytes = addUp(cell.bytes, sumOf(requests.bytes, from, to))
}

function addStatuses(cell: RequestCell, { length, values, counts }: Tally): void {
  for (let i = 0; i < length; i++) {
    const status = values[i] as number
    if (status !== ABSENT) addStatus(cell, status, counts[i] as number)
  }
}

/** Of the values above 0: ABSENT is none. */
function sumOf({ bytes, start, width, base }: PackedColumn, from: number, to: number): number {
  let sum = 0
  for (let row = from; row < to; row++) {
    const value = base + addedAt(bytes, start + row * width, width)
    if (value > 0) sum += value
  }
  return sum
}
