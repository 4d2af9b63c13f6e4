/** Cells: what a stretch of the log adds up to, by app, process type and minute of the event. */
import { ABSENT, type RequestColumns } from './burst.ts'
import {
  emptyHistogram,
  type Histogram,
  merge as mergeHistogram,
  record as recordValue,
} from './histogram.ts'
import { addCounts, type LedgerCounts, minuteOf } from './ledger.ts'

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

/** Cells by key; merging is additive, so their order never matters. */
export class Cells {
  readonly requests = new Map<string, RequestCell>()
  readonly ledger = new Map<string, LedgerCell>()

  get empty(): boolean {
    return this.requests.size === 0 && this.ledger.size === 0
  }

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
    const { timeMs, serviceMs, connectMs, status, bytes, process } = columns
    // A burst mostly lies in one minute and one process type, so the last cell is at hand.
    let cell: RequestCell | undefined
    let cellProcess = ABSENT
    for (let i = 0; i < timeMs.length; i++) {
      const bucketMs = minuteOf(timeMs[i] as number)
      const processIndex = process[i] as number
      if (cell === undefined || cell.bucketMs !== bucketMs || cellProcess !== processIndex) {
        cell = this.requestCell(app, columns.processes[processIndex] as string, bucketMs)
        cellProcess = processIndex
      }
      addRequest(
        cell,
        serviceMs[i] as number,
        connectMs[i] as number,
        status[i] as number,
        bytes[i] as number,
      )
    }
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
    cell.bytes += other.bytes
  }
}

function addStatus(cell: RequestCell, status: number, n: number): void {
  cell.status.set(status, (cell.status.get(status) ?? 0) + n)
}

function addRequest(
  cell: RequestCell,
  serviceMs: number,
  connectMs: number,
  status: number,
  bytes: number,
): void {
  cell.requests += 1
  if (status !== ABSENT) addStatus(cell, status, 1)
  if (serviceMs !== ABSENT) recordValue(cell.service, serviceMs)
  if (connectMs !== ABSENT) recordValue(cell.connect, connectMs)
  if (bytes !== ABSENT) cell.bytes += bytes
}
