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
import { appNameSchema } from './credential.ts'
import { LEDGER_COUNTS, type LedgerCounts, minuteOf } from './ledger.ts'
import { MARKER_KINDS } from './marker.ts'
import { POINT_KINDS } from './point.ts'
import { isLoggable } from './text.ts'
import { VALUE_MAX } from './units.ts'

/** What a burst can hold, so that what is accepted here can be encoded. */
const whole = z.int().min(0)
const text = z.string().refine(isLoggable, 'is too long, or holds a NUL')
const time = z.iso.datetime().refine((text) => Date.parse(text) >= 0, 'is before 1970')
const minute = time.refine(
  (text) => minuteOf(Date.parse(text)) === Date.parse(text),
  'is no minute',
)

const requestSchema = z.object({
  time,
  process: text,
  /** ms */
  service: whole.max(DURATION_MS_MAX).optional(),
  /** ms */
  connect: whole.max(DURATION_MS_MAX).optional(),
  status: whole.max(STATUS_MAX).optional(),
  bytes: whole.max(RESPONSE_BYTES_MAX).optional(),
  code: text.optional(),
})

const pointSchema = z
  .object({
    time,
    kind: z.enum(POINT_KINDS),
    process: text,
    name: text,
    source: text.optional(),
    value: z.number().min(-VALUE_MAX).max(VALUE_MAX),
  })
  .refine(({ kind, value }) => kind === 'gauge' || value >= 0, 'is negative')

const markerSchema = z.object({
  time,
  kind: z.enum(MARKER_KINDS),
  process: text.optional(),
  dyno: text.optional(),
  text: text.optional(),
  by: text.optional(),
})

export const burstJsonSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  app: appNameSchema,
  drain: text,
  received: time,
  ledger: z.array(
    z.object({
      bucket: minute,
      ...Object.fromEntries(LEDGER_COUNTS.map((what) => [what, whole.optional()])),
    }),
  ),
  requests: z.array(requestSchema).max(ROWS_MAX),
  points: z.array(pointSchema).default([]),
  markers: z.array(markerSchema).default([]),
  dynos: z.array(z.object({ time, dyno: text, instance: text })).default([]),
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
    points: burst.signals.points.map(({ timeMs: ms, kind, process, name, source, value }) => ({
      ...{ time: isoOf(ms), kind, process, name },
      ...worded({ source }),
      value,
    })),
    markers: burst.signals.markers.map(({ timeMs: ms, kind, ...words }) => ({
      ...{ time: isoOf(ms), kind },
      ...worded(words),
    })),
    dynos: burst.signals.dynos.map(({ timeMs: ms, ...words }) => ({ time: isoOf(ms), ...words })),
  }
}

/** Without the words that are empty. */
function worded<Words extends Record<string, string>>(words: Words): Partial<Words> {
  const given: Partial<Words> = { ...words }
  for (const key in given) if (given[key] === '') delete given[key]
  return given
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
    signals: {
      points: json.points.map(({ time, source = '', value, ...point }) => ({
        ...{ ...point, source, value },
        timeMs: Date.parse(time),
      })),
      markers: json.markers.map(({ time, kind, process = '', dyno = '', text = '', by = '' }) => ({
        ...{ kind, process, dyno, text, by },
        timeMs: Date.parse(time),
      })),
      dynos: json.dynos.map(({ time, ...words }) => ({ ...words, timeMs: Date.parse(time) })),
    },
  }
}
