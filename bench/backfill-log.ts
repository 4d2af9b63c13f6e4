/**
 * An embedded log of web requests to make rows of: the same bytes each time, whoever reads it then.
 */
import { RAW } from '../batch/topics.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import type { NewRecord } from '../broker/log.ts'
import { ABSENT, encodeBurst, requestColumns } from '../core/burst.ts'
import { REPARTITIONED } from '../core/control.ts'
import { minuteOf } from '../core/ledger.ts'

const SECOND_MS = 1000
const HOUR_MS = 3_600_000

/** As Logplex sends a busy app: a burst a second. */
const REQUESTS_A_BURST = 100
const PROCESSES = ['web', 'api', 'admin']
const STATUS = [200, 200, 200, 200, 200, 200, 302, 404, 503]

/** What the edge of so much log time sends is appended at once. */
const APPEND_MS = 500

export interface Wanted {
  /** Where `log.sqlite` is made. */
  folder: string
  partitions: number
  apps: number
  requests: number
  /** Requests a second of log time. */
  rate: number
}

export interface MadeLog {
  /** When the first request came, and when the last one was over, Unix ms. */
  sinceMs: number
  untilMs: number
  requests: number
  /** Of each partition: the offset of its last record, a tick, and the log time of the one before. */
  ends: { partition: number; offset: number; watermarkMs: number }[]
}

/** Makes the log, and leaves it to a broker. It ends a good hour ago, at the start of a minute. */
export async function makeLog({
  folder,
  partitions,
  apps,
  requests,
  rate,
}: Wanted): Promise<MadeLog> {
  const bursts = Math.ceil(requests / REQUESTS_A_BURST)
  const spanMs = Math.ceil((bursts * REQUESTS_A_BURST) / rate) * SECOND_MS
  const untilMs = minuteOf(Date.now() - HOUR_MS)
  const sinceMs = untilMs - spanMs
  let nowMs = sinceMs
  const watermarks = new Map<number, number>()
  const topic = { partitions }
  const log = new EmbeddedLog({
    folder,
    topics: {
      raw: { ...topic, onGrowth: REPARTITIONED },
      ...{ aggregates: topic, 'dead-letter': topic },
    },
    ...{ wallMs: () => nowMs, elapsedMs: () => nowMs },
  })
  try {
    let batch: NewRecord[] = []
    for (let number = 0; number < bursts; number++) {
      const receivedAtMs = sinceMs + Math.floor((number * spanMs) / bursts)
      const app = number % apps
      const process = Math.floor(number / apps) % PROCESSES.length
      const value = burst({ number, app: `bench-${app}`, process, receivedAtMs })
      if (receivedAtMs >= nowMs + APPEND_MS) {
        if (batch.length > 0) await log.append(RAW, batch)
        nowMs = receivedAtMs
        batch = []
      }
      const partition = app % partitions
      batch.push({ value, partition })
      watermarks.set(partition, nowMs)
    }
    await log.append(RAW, batch)
    nowMs = untilMs + HOUR_MS / 2
    // Ticks close the last chunks.
    const ticks = [...watermarks.keys()].map((partition) => ({ partition, value: '' }))
    const ends = (await log.append(RAW, ticks)).map(({ partition, offset }) => ({
      ...{ partition, offset },
      watermarkMs: watermarks.get(partition) ?? 0,
    }))
    return { sinceMs, untilMs, requests: bursts * REQUESTS_A_BURST, ends }
  } finally {
    log.close()
  }
}

interface Sent {
  number: number
  app: string
  process: number
  receivedAtMs: number
}

/** Requests of the second before the receipt, to one process type: a router has mostly one, web. */
function burst({ number, app, process, receivedAtMs }: Sent): string {
  const columns = requestColumns(REQUESTS_A_BURST)
  for (let i = 0; i < REQUESTS_A_BURST; i++) {
    const any = (number * REQUESTS_A_BURST + i) * 2_654_435_761
    columns.timeMs[i] = receivedAtMs - (any % SECOND_MS)
    columns.serviceMs[i] = Math.floor(4 * 1.5 ** (any % 17))
    columns.connectMs[i] = any % 3
    columns.status[i] = STATUS[any % STATUS.length] ?? 200
    columns.bytes[i] = any % 50_000
    columns.process[i] = process
    columns.code[i] = ABSENT
  }
  const counts = { received: REQUESTS_A_BURST, kept: REQUESTS_A_BURST }
  return encodeBurst({
    ...{ id: number.toString(16).padStart(32, '0'), app, drain: 'heroku', receivedAtMs },
    ledger: new Map([[minuteOf(receivedAtMs), counts]]),
    requests: { ...columns, processes: PROCESSES },
    signals: { points: [], markers: [], dynos: [] },
  }).toBase64()
}
