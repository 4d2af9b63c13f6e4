/**
 * The work of a backfill: stages what raw holds up to the places of persist, and replaces rows by
 * what is staged, slice by slice. For each slice persist stands still for a moment, so that both
 * are at the same places: from then on it adds to rows that are right.
 */
import type { Log } from '../broker/log.ts'
import {
  type Changes,
  diffSlice,
  type RowDiff,
  type Slice,
  swapSlice,
} from '../db/backfill-diff.ts'
import { analyzeStaged, type Job, moveDone, stagedPlaces } from '../db/backfill-job.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { holdTiers, unlessBusy } from '../db/tiers.ts'
import {
  AHEAD_MS,
  type Progress as Persisted,
  persistedPlaces,
  startPlace,
} from './backfill-cover.ts'
import { Losses } from './backfill-losses.ts'
import type { Progress } from './backfill-progress.ts'
import type { Range } from './backfill-range.ts'
import { type EndOf, Scan } from './backfill-scan.ts'
import { beginStaging, collect, type Piece, sizeOf, stagePieces } from './backfill-stage.ts'
import { pause } from './loop.ts'
import { TryAgainError } from './program.ts'
import type { RawEpoch, RawSource } from './raw-source.ts'
import { isSameLog } from './same-log.ts'
import { RAW } from './topics.ts'

/** What is done in one transaction. */
export interface Pieces {
  /** Cells that are staged; a kill costs as many. */
  cells: number
  /** Rows of a slice, there or staged. */
  rows: number
}

/** Some tenths of a second each; for those of rows, persist stands still. */
export const PIECES: Pieces = { cells: 5000, rows: 20_000 }

/** What was scanned is staged after so long, be it little. */
const STAGE_MS = 2000

/** For so long persist may stand still while the rest is staged; twice that the next time. */
const STILL_MS = 1000
const STILL_MS_MAX = 30_000

/** Who keeps us waiting for a lock has others waiting behind us. */
const LOCK_TIMEOUT = '1s'
const BUSY_PAUSE_MS = 250
const BUSY_MAX = 120

/** Rounds of catching up before rows are replaced; the rest is done for each slice. */
const ROUNDS_MAX = 5
const ROUND_MS = 1000

/** A round took longer than persist may stand still. */
class TooLongError extends Error {}

export interface Work {
  sql: Sql
  log: Log
  source: RawSource
  job: Job
  range: Range
  apps: readonly string[] | undefined
  progress: Progress
  pieces: Pieces
  signal: AbortSignal
}

export class Backfill {
  private readonly scans = new Map<number, Scan>()
  private readonly epochs = new Map<number, readonly RawEpoch[]>()
  readonly changes = new Map<string, Changes>()

  private readonly losses: Losses

  constructor(private readonly work: Work) {
    this.losses = new Losses(work.sql, work.log, work.job.sinceMs - AHEAD_MS)
  }

  /** Stages all up to where persist is. */
  async stage(): Promise<void> {
    const { progress } = this.work
    const targets = await persistedPlaces(this.work.sql)
    const staged = await stagedPlaces(this.work.sql)
    const due = [...targets].map(
      ([partition, { from }]) => from - (staged.get(partition)?.from ?? 0),
    )
    progress.start(
      { name: 'scan', unit: 'records' },
      due.reduce((sum, records) => sum + Math.max(0, records), 0),
    )
    await this.catchUp(targets)
    for (let round = 1; round < ROUNDS_MAX; round++) {
      const startedMs = performance.now()
      await this.catchUp(await persistedPlaces(this.work.sql))
      if (performance.now() - startedMs < ROUND_MS) break
    }
    await analyzeStaged(this.work.sql)
  }

  /** Makes the rows of a slice those of the log; all before it are. */
  async swap(slice: Slice): Promise<void> {
    const { job, apps, range } = this.work
    const changes = await this.standingStill(slice, async (transaction) => {
      const changes = await swapSlice(transaction, slice, apps)
      await moveDone(transaction, job.run, slice.untilMs)
      return changes
    })
    range.sinceMs = slice.untilMs
    this.note(changes)
  }

  /** What that would change. */
  async diff(slice: Slice): Promise<RowDiff[]> {
    const { changes, rows } = await this.standingStill(slice, (transaction) =>
      diffSlice(transaction, slice, this.work.apps),
    )
    this.note(changes)
    return rows
  }

  private note(changes: ReadonlyMap<string, Changes>): void {
    for (const [table, more] of changes) {
      const sum = this.changes.get(table)
      if (sum === undefined) this.changes.set(table, { ...more })
      else
        for (const what of ['added', 'changed', 'removed', 'same'] as const) sum[what] += more[what]
    }
  }

  /** Does `act` while persist stands still at places up to which all is staged. */
  private async standingStill<Result>(
    slice: Slice,
    act: (transaction: Transaction) => Promise<Result>,
  ): Promise<Result> {
    const { sql, signal } = this.work
    let stillMs = STILL_MS
    for (let busy = 0; busy < BUSY_MAX; ) {
      signal.throwIfAborted()
      await this.catchUp(await persistedPlaces(sql))
      let result: { value: Result } | undefined
      try {
        const isDone = await unlessBusy(() =>
          sql.begin(async (transaction) => {
            await transaction`select set_config('lock_timeout', ${LOCK_TIMEOUT}, true)`
            // Also against rows of partitions that are new.
            await transaction`lock table shelf.progress in exclusive mode`
            const persisted = await persistedPlaces(transaction)
            await this.catchUp(persisted, performance.now() + stillMs)
            await this.mustBeSameLog(persisted)
            await mustBeKept(transaction, slice)
            result = { value: await act(transaction) }
          }),
        )
        if (isDone && result !== undefined) return result.value
        busy += 1
        await pause(BUSY_PAUSE_MS, signal)
      } catch (error) {
        if (!(error instanceof TooLongError)) throw error
        stillMs = Math.min(stillMs * 2, STILL_MS_MAX)
      }
    }
    throw new TryAgainError('others that write rows take too long')
  }

  /** @throws TooLongError where it is not done at `deadlineMs` of performance.now() */
  private async catchUp(
    targets: ReadonlyMap<number, Persisted>,
    deadlineMs = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const results = await Promise.allSettled(
      [...targets].map(([partition, target]) => this.stagePartition(partition, target, deadlineMs)),
    )
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason] : [],
    )
    const failure = failures.find((error) => !(error instanceof TooLongError)) ?? failures[0]
    if (failure !== undefined) throw failure
  }

  private async stagePartition(
    partition: number,
    target: Persisted,
    deadlineMs: number,
  ): Promise<void> {
    const { sql, job, progress, pieces, signal } = this.work
    const scan = this.scans.get(partition) ?? (await this.open(partition, target))
    this.scans.set(partition, scan)
    let { records, requests } = scan
    while (!scan.isAt(target)) {
      const batch: Piece[] = []
      const startedMs = performance.now()
      let cells = 0
      while (!scan.isAt(target) && cells < pieces.cells) {
        const nowMs = performance.now()
        if (nowMs > deadlineMs || nowMs > startedMs + STAGE_MS) break
        signal.throwIfAborted()
        for (const piece of await scan.next(target, signal)) {
          collect(batch, piece)
          cells += sizeOf(piece)
        }
        progress.add('records', scan.records - records, scan.requests - requests)
        records = scan.records
        requests = scan.requests
      }
      for (const hole of scan.holes.splice(0)) await this.losses.mustKnow(partition, hole)
      if (batch.length > 0) await stagePieces(sql, job.run, partition, batch)
      if (!scan.isAt(target) && performance.now() > deadlineMs) throw new TooLongError()
    }
  }

  private async open(partition: number, target: Persisted): Promise<Scan> {
    const { sql, source, job, range } = this.work
    const epochs = await source.epochs(partition)
    this.epochs.set(partition, epochs)
    const staged = (await stagedPlaces(sql)).get(partition)
    const endOf: EndOf = (...end) => this.losses.endOf(...end)
    if (staged !== undefined) return await Scan.open(epochs, partition, staged, range, endOf)
    const place = await startPlace(epochs, partition, job.sinceMs, target)
    await beginStaging(sql, job.run, partition, place)
    return await Scan.open(epochs, partition, place, range, endOf)
  }

  /** Under its places: who recreates the log does not wait for us to notice. */
  private async mustBeSameLog(targets: ReadonlyMap<number, Persisted>): Promise<void> {
    for (const [partition, { epoch, from, watermark }] of targets) {
      if (watermark === null) continue
      const log = this.epochs.get(partition)?.find((each) => each.epoch.epoch === epoch)?.log
      if (log !== undefined && (await isSameLog(log, partition, from, watermark.getTime())))
        continue
      throw new Error(
        `partition ${partition} of ${RAW} is not the log any more that the rows were made from`,
      )
    }
  }
}

/** Retention may have dropped the tier of the slice since it was planned. */
async function mustBeKept(transaction: Transaction, slice: Slice): Promise<void> {
  const placeOf = await holdTiers(transaction)
  const isKept = [slice.sinceMs, slice.untilMs - 1].every(
    (timeMs) => placeOf(timeMs)?.tier === slice.tier,
  )
  if (!isKept) throw new TierGoneError()
}

/** What is staged may not be whole buckets of the tier that is the finest now. */
export class TierGoneError extends TryAgainError {
  override name = 'TierGoneError'
  constructor() {
    super(
      'a tier of the range was dropped meanwhile, and the next one has longer buckets: start anew',
    )
  }
}
