/** A log with lifelike bursts, the programs on it, and what a full replay of it gives. */

import { lookBack } from '../batch/aggregate-look-back.ts'
import { AggregateWorker } from '../batch/aggregate-worker.ts'
import { runBackfill } from '../batch/backfill-run.ts'
import { persistRecords } from '../batch/persist-records.ts'
import { PersistWorker } from '../batch/persist-worker.ts'
import { liveSource, type RawSource } from '../batch/raw-source.ts'
import type { Log } from '../broker/log.ts'
import { PartitionAggregator } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { ABSENT, encodeBurst, requestColumns } from '../core/burst.ts'
import { minuteOf } from '../core/ledger.ts'
import { type Place, placeBehind } from '../core/place.ts'
import type { Signals } from '../core/signals.ts'
import type { Sql } from '../db/client.ts'
import { random } from './generator.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000

export interface Rich {
  number: number
  receivedAtMs: number
  app?: string
  /** How old its events are at most, ms. */
  ageMs?: number
}

/** A burst with requests and signals of each kind, spread over the minutes before its receipt. */
export function richBurst({ number, receivedAtMs, app = 'shop', ageMs = 0 }: Rich): string {
  const next = random(number + 1)
  const whole = (below: number): number => Math.floor(next() * below)
  const timeMs = (): number => receivedAtMs - whole(ageMs + 1)
  const requests = { ...requestColumns(4), processes: ['web', 'api'], codes: ['H12'] }
  for (let i = 0; i < 4; i++) {
    requests.timeMs[i] = timeMs()
    requests.serviceMs[i] = whole(3000)
    requests.connectMs[i] = whole(3)
    requests.status[i] = [200, 404, 503][whole(3)] ?? 200
    requests.bytes[i] = whole(5000)
    requests.process[i] = whole(2)
    requests.code[i] = next() < 0.3 ? 0 : ABSENT
  }
  const point = () => ({ timeMs: timeMs(), process: 'web', source: '' })
  const signals: Signals = {
    points: [
      { ...point(), kind: 'gauge', name: 'memory_rss', value: whole(1e6) / 7 },
      { ...point(), kind: 'counter', name: 'custom.sales', value: whole(100) / 3 },
      { ...point(), kind: 'measure', name: 'custom.db', value: whole(1000) / 1000 },
    ],
    markers: [
      { kind: 'release', timeMs: timeMs(), process: '', dyno: '', text: `v${number}`, by: '' },
    ],
    dynos: [{ timeMs: timeMs(), dyno: 'web.1', instance: `a-${whole(3)}` }],
  }
  const counts = { received: 8, kept: 7, ignoredOutput: 1, ...(next() < 0.2 && { lostL10: 3 }) }
  const id = number.toString(16).padStart(32, '0')
  const ledger = new Map([[minuteOf(timeMs()), counts]])
  return encodeBurst({
    ...{ id, app, drain: 'heroku', receivedAtMs, ledger, requests, signals },
  }).toBase64()
}

/** A burst of gauges, as many as names. */
export function wideBurst(burst: {
  number: number
  receivedAtMs: number
  names: number
  name(i: number): string
}): string {
  const { number, receivedAtMs: timeMs, names, name } = burst
  const point = { kind: 'gauge' as const, timeMs, process: 'web', source: '' }
  const points = Array.from({ length: names }, (_, i) => ({ ...point, name: name(i), value: i }))
  return encodeBurst({
    ...{ id: number.toString(16).padStart(32, '0'), app: 'shop', drain: 'heroku' },
    ...{ receivedAtMs: timeMs, requests: requestColumns(0) },
    ledger: new Map([[minuteOf(timeMs), { received: 1, kept: 1 }]]),
    signals: { points, markers: [], dynos: [] },
  }).toBase64()
}

/** At most so many records are read at once: so that there are many steps. */
const READ_MAX = 15

/** The log, with something that happens before each answer to who asks raw. */
export function meddled(log: Log, act: () => Promise<void>): Log {
  return {
    topics: () => log.topics(),
    append: (...records) => log.append(...records),
    createTopics: (wanted) => log.createTopics(wanted),
    async offsetAt(topic, ...at) {
      if (topic === 'raw') await act()
      return log.offsetAt(topic, ...at)
    },
    async read(topic, ...place) {
      if (topic === 'raw') await act()
      return (await log.read(topic, ...place)).slice(0, READ_MAX)
    },
  }
}

const signal = new AbortController().signal

/** Aggregates all that is closed. */
export async function aggregateAll(log: Log, partitions = 1): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    const worker = await AggregateWorker.start(log, partition)
    while ((await worker.step(signal, 0)) > 0);
  }
}

/** Persists all that is aggregated. */
export async function persistAll(log: Log, sql: Sql, partitions = 1): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    const worker = await PersistWorker.start(log, sql, partition)
    while ((await worker.step(signal, 0)) > 0);
  }
}

export async function placesOf(sql: Sql): Promise<Map<number, Place>> {
  const rows = await sql<(Place & { partition: number })[]>`
    select partition, epoch, next_from as "from", next_part as part from shelf.progress`
  return new Map(rows.map(({ partition, ...place }) => [partition, place]))
}

/** Fills an empty database with what raw gives, aggregated anew, up to these places of epoch 0. */
export async function replay(
  log: Log,
  sql: Sql,
  places: ReadonlyMap<number, Place>,
): Promise<void> {
  for (const [partition, place] of places) {
    await sql`insert into shelf.progress (partition) values (${partition}) on conflict do nothing`
    const aggregator = new PartitionAggregator()
    for (let at = 0; ; ) {
      const records = await log.read('raw', partition, at)
      const last = records.at(-1)
      if (last === undefined) break
      aggregator.recall(await lookBack(log, partition, records))
      const closed = records.flatMap((record) => aggregator.push(record) ?? [])
      const due = closed
        .flatMap((chunk) => toAggregateRecords(partition, chunk))
        .filter((record) => {
          const { from, part } = placeBehind(record)
          return from < place.from || (from === place.from && part <= place.part)
        })
      await persistRecords(sql, partition, due, { ifLeased: 'wait' })
      at = last.offset + 1
    }
  }
}

export interface Asked {
  sinceMs: number
  untilMs: number
  apps?: string[]
  isDry?: boolean
  source?: RawSource
  signal?: AbortSignal
}

/** A backfill in this process. Returns the lines that it printed. */
export async function backfilled(
  log: Log,
  databaseUrl: string,
  sql: Sql,
  asked: Asked,
): Promise<object[]> {
  const { sinceMs, untilMs, apps, isDry = false } = asked
  const text = JSON.stringify({ sinceMs, untilMs, apps, isDry })
  let printed = ''
  await runBackfill({
    ...{ databaseUrl, sql, log },
    source: asked.source ?? liveSource(log),
    call: { sinceMs, untilMs, apps, isDry, from: 'raw', text },
    print: async (lines) => {
      printed += lines
    },
    pieces: { cells: 40, rows: 200 },
    signal: asked.signal ?? signal,
  })
  return printed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** All rows with the version of each, to see which were written. */
export async function versions(sql: Sql): Promise<string[]> {
  const tables = ['counters', 'gauges', 'histograms', 'ledger', 'requests'].flatMap((kind) =>
    ['1m', '10m', '1h', '1d'].map((tier) => `${kind}_${tier}`),
  )
  const all = [...tables, 'marker_lines', 'dynos', 'progress', 'tiers', 'dirty']
  const rows = await sql.unsafe<{ row: string }[]>(
    `${all
      .map(
        (name) => `select '${name} ' || xmin::text || ' ' || t::text as row from shelf.${name} t`,
      )
      .join(' union all ')} order by 1`,
  )
  return rows.map(({ row }) => row)
}
