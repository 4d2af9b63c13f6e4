/**
 * What Heroku's language agents post (HEROKU_METRICS_URL): gauges and counters of a runtime, every
 * 5 or 20 s. https://github.com/heroku/heroku-java-metrics-agent, https://github.com/heroku/agentmon
 */
import * as z from 'zod'
import { type Burst, requestColumns } from '../../core/burst.ts'
import { count, type Ledger, minuteOf } from '../../core/ledger.ts'
import { isName, type Point, type PointKind } from '../../core/point.ts'
import { VALUE_MAX } from '../../core/units.ts'
import { EdgeError } from '../errors.ts'
import { burstIdOf, HEROKU } from './heroku.ts'

/** Agents post at once, and do not try again after a 4xx: what is older is refused, as Heroku does. */
const AGE_MS_MAX = 4 * 60_000

/** The JVM's agent sends about 30. */
const VALUES_MAX = 1000

/** The agents do not say which process they run in, unless their URL does (`?process=worker`). */
const PROCESS_DEFAULT = 'web'

const values = z.record(z.string(), z.unknown()).default({})

const bodySchema = z.object({ gauges: values, counters: values })

const timeSchema = z.iso.datetime({ offset: true })

export interface MetricsPost {
  app: string
  /** What tells two posts with the same values apart: who sent them. */
  sender: string
  /** Of the URL: the process type. */
  process: string | undefined
  /** The header Measurements-Time. */
  time: string | null
  body: Uint8Array
}

/** The burst of one post. @throws EdgeError bad-metrics, for what the agents know as a 400 */
export async function herokuMetricsBurst(post: MetricsPost, receivedAtMs: number): Promise<Burst> {
  const timeMs = measuredAt(post.time, receivedAtMs)
  const { gauges, counters } = parseBody(post.body)
  const process = post.process ?? PROCESS_DEFAULT
  if (!isName(process)) throw new EdgeError('bad-metrics', 'process= is no name of a process type')
  const ledger: Ledger = new Map()
  const points: Point[] = []
  const add = (kind: PointKind, entries: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(entries)) {
      const readable = typeof value === 'number' && Math.abs(value) <= VALUE_MAX && isName(name)
      if (!readable || (kind === 'counter' && value < 0) || points.length >= VALUES_MAX) {
        count(ledger, minuteOf(timeMs), 'unreadable')
      } else {
        points.push({
          kind,
          timeMs,
          process,
          name: `runtime.${name}`,
          source: '',
          value: value + 0,
        })
      }
    }
  }
  add('gauge', gauges)
  add('counter', counters)
  count(ledger, minuteOf(timeMs), 'received')
  count(ledger, minuteOf(timeMs), 'kept')
  return {
    id: burstIdOf(`${post.app}\n${post.sender}\n${process}\n${post.time}\nmetrics`, post.body),
    app: post.app,
    drain: HEROKU,
    receivedAtMs,
    ledger,
    requests: requestColumns(0),
    signals: { points, markers: [], dynos: [] },
  }
}

function measuredAt(time: string | null, receivedAtMs: number): number {
  const timeMs = timeSchema.safeParse(time).success ? Date.parse(time ?? '') : Number.NaN
  if (Number.isNaN(timeMs)) {
    throw new EdgeError('bad-metrics', 'Measurements-Time must be an RFC 3339 time')
  }
  if (Math.abs(receivedAtMs - timeMs) > AGE_MS_MAX) {
    throw new EdgeError('bad-metrics', 'Measurements-Time is more than 4 minutes off')
  }
  return timeMs
}

function parseBody(body: Uint8Array): z.infer<typeof bodySchema> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder().decode(body))
  } catch {
    throw new EdgeError('bad-metrics', 'the body is not JSON')
  }
  const parsed = bodySchema.safeParse(json)
  if (!parsed.success) throw new EdgeError('bad-metrics', 'gauges and counters must be objects')
  return parsed.data
}
