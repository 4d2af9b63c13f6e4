/** Web requests of many apps, from a seed, as bursts and as NDJSON: the same ones. */
import { ABSENT, type Burst, requestColumns } from '../core/burst.ts'
import { minuteOf } from '../core/ledger.ts'
import { emptySignals } from '../core/signals.ts'
import { random } from '../test/generator.ts'

/** As Logplex sends a busy app. */
export const REQUESTS_A_BURST = 100

const PROCESSES = ['web', 'api', 'admin']

export interface Wanted {
  apps: number
  requests: number
  /** Requests a second, of all apps. */
  rate: number
  seed: number
  /** When the first one comes, Unix ms. */
  sinceMs: number
}

/** In the order of their receipt. An app's process is mostly one: its dynos share a drain. */
export function* makeBursts({ apps, requests, rate, seed, sinceMs }: Wanted): Generator<Burst> {
  const next = random(seed)
  const spanMs = (REQUESTS_A_BURST / rate) * 1000
  for (let number = 0; number * REQUESTS_A_BURST < requests; number++) {
    const fromMs = sinceMs + number * spanMs
    const app = Math.floor(next() * apps)
    const columns = requestColumns(REQUESTS_A_BURST)
    for (let i = 0; i < REQUESTS_A_BURST; i++) {
      const isError = next() < 0.002
      columns.timeMs[i] = Math.floor(fromMs + (i * spanMs) / REQUESTS_A_BURST)
      columns.serviceMs[i] = isError ? 30_000 : Math.round(Math.exp(3 + next() * 3))
      columns.connectMs[i] = Math.floor(next() * 4)
      columns.status[i] = isError ? 503 : next() < 0.95 ? 200 : 304
      columns.bytes[i] = Math.floor(next() * 40_000)
      columns.process[i] = 0
      columns.code[i] = isError ? 0 : ABSENT
    }
    const receivedAtMs = Math.ceil(fromMs + spanMs)
    const counts = { received: REQUESTS_A_BURST, kept: REQUESTS_A_BURST }
    yield {
      id: number.toString(16).padStart(32, '0'),
      app: `bench-${app}`,
      drain: 'heroku',
      receivedAtMs,
      ledger: new Map([[minuteOf(fromMs), counts]]),
      requests: {
        ...columns,
        processes: [PROCESSES[app % PROCESSES.length] ?? ''],
        codes: ['H12'],
      },
      signals: emptySignals(),
    }
  }
}

/** A line for each of its requests. */
export function ndjsonOf({ app, requests }: Burst): string {
  let lines = ''
  for (let i = 0; i < requests.timeMs.length; i++) {
    const code = requests.codes[requests.code[i] ?? ABSENT]
    lines += `${JSON.stringify({
      app,
      process: requests.processes[requests.process[i] ?? 0],
      time_ms: requests.timeMs[i],
      service: requests.serviceMs[i],
      connect: requests.connectMs[i],
      status: requests.status[i],
      bytes: requests.bytes[i],
      ...(code !== undefined && { code }),
    })}\n`
  }
  return lines
}
