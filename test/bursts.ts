/** Bursts made by hand for the tests of core/: the simplest, and one signal of each kind. */
import { type Burst, requestColumns } from '../core/burst.ts'
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
