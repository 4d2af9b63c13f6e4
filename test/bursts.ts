/** Bursts made by hand for the tests of core/: the simplest, and one signal of each kind. */
import { ABSENT, type Burst, encodeBurst, requestColumns } from '../core/burst.ts'
import { type LedgerCounts, minuteOf } from '../core/ledger.ts'
import type { Marker } from '../core/marker.ts'
import type { Point } from '../core/point.ts'
import { type DynoSighting, emptySignals, type Signals } from '../core/signals.ts'
import { TEXT_CHARS_MAX } from '../core/text.ts'
import { TIME_MS_MAX } from '../core/time.ts'
import { VALUE_MAX } from '../core/units.ts'

export const emptyBurst: Burst = {
  id: '00'.repeat(16),
  app: 'demo',
  drain: '',
  receivedAtMs: 0,
  ledger: new Map(),
  requests: requestColumns(0),
  signals: emptySignals(),
}

export const GAUGE: Point = {
  kind: 'gauge',
  timeMs: 0,
  process: 'web',
  name: 'load_avg_1m',
  source: '',
  value: 0.5,
}

export const MARKER: Marker = {
  kind: 'release',
  timeMs: 0,
  process: '',
  dyno: '',
  text: 'v42',
  by: '',
}

export const SIGHTING: DynoSighting = { timeMs: 0, dyno: 'web.1', instance: 'a-1' }

export const withSignals = (signals: Partial<Signals>): Burst => ({
  ...emptyBurst,
  signals: { ...emptySignals(), ...signals },
})

/** What lies at the edges of the times and values that there are. */
export const extremes = withSignals({
  points: [
    { ...GAUGE, name: 'n'.repeat(TEXT_CHARS_MAX) },
    ...[VALUE_MAX, -VALUE_MAX, 0, 0.1, Number.MIN_VALUE].map((value) => ({ ...GAUGE, value })),
    { ...GAUGE, kind: 'measure', value: 0, timeMs: TIME_MS_MAX },
  ],
  markers: [MARKER, MARKER, { ...MARKER, timeMs: TIME_MS_MAX }],
  dynos: [SIGHTING, { ...SIGHTING, timeMs: TIME_MS_MAX }],
})

/** Names that TextDecoder would change if it were asked the usual way. */
export const byteOrderMark: Burst = { ...emptyBurst, drain: '\ufeffheroku\ufeff' }

interface RawBurst {
  number: number
  receivedAtMs: number
  app?: string
  /** Response bytes of its one request. */
  bytes?: number
  lostL10?: number
}

/** A burst of one request in the minute of its receipt, as the raw topic holds it. */
export function rawBurst(burst: RawBurst): string {
  const { number, receivedAtMs, app = 'shop', bytes = 10, lostL10 = 0 } = burst
  const minuteMs = minuteOf(receivedAtMs)
  const requests = { ...requestColumns(1), processes: ['web'] }
  requests.timeMs[0] = minuteMs
  requests.serviceMs[0] = 5
  requests.connectMs[0] = 1
  requests.status[0] = 200
  requests.bytes[0] = bytes
  requests.code[0] = ABSENT
  const counts: LedgerCounts = { received: 1, kept: 1, ...(lostL10 > 0 && { lostL10 }) }
  return encodeBurst({
    ...{ id: number.toString(16).padStart(32, '0'), app, drain: 'heroku', receivedAtMs },
    ...{ ledger: new Map([[minuteMs, counts]]), requests, signals: emptySignals() },
  }).toBase64()
}
