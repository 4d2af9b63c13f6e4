/** A burst for people: the NDJSON of `shelf from raw`. parse(print(burst)) = burst. */
import { z } from 'zod'
import {
  ABSENT,
  type Burst,
  DURATION_MS_MAX,
  RESPONSE_BYTES_MAX,
  ROWS_MAX,
  requestColumns,
  STATUS_MAX,
} from './burst.ts'
import { LEDGER_COUNTS, type LedgerCounts, minuteOf } from './ledger.ts'

const whole = z.int().min(0)

/** What a burst can hold, so that what is accepted here can be encoded. */
const time = z.iso.datetime().refine((text) => Date.parse(text) >= 0, 'is before 1970')
const minute = time.refine(
  (text) => minuteOf(Date.parse(text)) === Date.parse(text),
  'is no minute',
)

const requestSchema = z.object({
  time,
  process: z.string(),
  /** ms */
  service: whole.max(DURATION_MS_MAX).optional(),
  /** ms */
  connect: whole.max(DURATION_MS_MAX).optional(),
  status: whole.max(STATUS_MAX).optional(),
  bytes: whole.max(RESPONSE_BYTES_MAX).optional(),
  code: z.string().optional(),
})

export const burstJsonSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  app: z.string(),
  drain: z.string(),
  received: time,
  ledger: z.array(
    z.object({
      bucket: minute,
      ...Object.fromEntries(LEDGER_COUNTS.map((what) => [what, whole.optional()])),
    }),
  ),
  requests: z.array(requestSchema).max(ROWS_MAX),
})

export type BurstJson = z.infer<typeof burstJsonSchema>

const isoOf = (timeMs: number): string => new Date(timeMs).toISOString()

export function burstToJson(burst: Burst): BurstJson {
  const { timeMs, serviceMs, connectMs, status, bytes, process, code } = burst.requests
  const given = <K extends string>(key: K, value: number | undefined) =>
    value === undefined || value === ABSENT ? {} : { [key]: value }
  return {
    id: burst.id,
    app: burst.app,
    drain: burst.drain,
    received: isoOf(burst.receivedAtMs),
    ledger: [...burst.ledger].map(([minuteMs, counts]) => ({ bucket: isoOf(minuteMs), ...counts })),
    requests: Array.from(timeMs, (ms, i) => {
      const codeName = burst.requests.codes[code[i] ?? ABSENT]
      return {
        time: isoOf(ms),
        process: burst.requests.processes[process[i] ?? ABSENT] ?? '',
        ...given('service', serviceMs[i]),
        ...given('connect', connectMs[i]),
        ...given('status', status[i]),
        ...given('bytes', bytes[i]),
        ...(codeName === undefined ? {} : { code: codeName }),
      }
    }),
  }
}

/** The burst that was printed. Its dictionaries are in order of first use, as the edge makes them. */
export function burstFromJson(json: BurstJson): Burst {
  const requests = requestColumns(json.requests.length)
  const processes = new Map<string, number>()
  const codes = new Map<string, number>()
  const indexOf = (names: Map<string, number>, name: string): number => {
    const index = names.get(name) ?? names.size
    names.set(name, index)
    return index
  }
  json.requests.forEach((row, i) => {
    requests.timeMs[i] = Date.parse(row.time)
    requests.serviceMs[i] = row.service ?? ABSENT
    requests.connectMs[i] = row.connect ?? ABSENT
    requests.status[i] = row.status ?? ABSENT
    requests.bytes[i] = row.bytes ?? ABSENT
    requests.process[i] = indexOf(processes, row.process)
    requests.code[i] = row.code === undefined ? ABSENT : indexOf(codes, row.code)
  })
  requests.processes = [...processes.keys()]
  requests.codes = [...codes.keys()]
  return {
    id: json.id,
    app: json.app,
    drain: json.drain,
    receivedAtMs: Date.parse(json.received),
    ledger: new Map(
      json.ledger.map(({ bucket, ...counts }) => [Date.parse(bucket), counts as LedgerCounts]),
    ),
    requests,
  }
}
