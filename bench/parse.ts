/**
 * Reading, validating and encoding bursts of 100 router lines, without HTTP, beside what most
 * receivers do: decode the body and run a regular expression over each line. That one keeps less: no
 * frames cut by octet count, no ledger, no columns.
 */
import { encodeBurst } from '../core/burst.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'
import { medians } from './compare.ts'
import { bodiesOf, realMessages, routerMessages } from './lines.ts'
import type { BenchOptions, Figure } from './run.ts'

const LINES = 100
const BODIES = 50
const LINES_PER_S_MIN = 2_000_000
const RATIO_MIN = 3

export async function readOurs(
  bodies: readonly Uint8Array[],
  receivedAtMs: number,
): Promise<number> {
  let bytes = 0
  for (const [i, body] of bodies.entries()) {
    const headers = { frameId: `${i}`, drainToken: 'd.bench', messages: LINES }
    const burst = await herokuBurst('bench', headers, body, receivedAtMs, async () => '')
    bytes += encodeBurst(burst).length
  }
  return bytes
}

const LINE =
  /^\d+ <\d+>1 (\S+) \S+ heroku router - at=(\w+)(?: code=(\w+))?.* dyno=(\S*) connect=(\d*)(?:ms)? service=(\d*)(?:ms)? status=(\d*) bytes=(\d*)/

export function readTheirs(bodies: readonly Uint8Array[]): number {
  let bytes = 0
  const decoder = new TextDecoder()
  for (const body of bodies) {
    const events: object[] = []
    for (const line of decoder.decode(body).split('\n')) {
      const found = LINE.exec(line)
      if (found === null) continue
      const [, time = '', at, code, dyno, connect, service, status, size] = found
      events.push({
        ...{ time: Date.parse(time), at, code, dyno },
        ...{ connect: Number(connect), service: Number(service) },
        ...{ status: Number(status), bytes: Number(size) },
      })
    }
    bytes += JSON.stringify(events).length
  }
  return bytes
}

export async function benchParse({ seconds }: BenchOptions): Promise<Figure[]> {
  const startMs = Math.floor(Date.now() / 60_000) * 60_000 - 60_000
  const sources = {
    seeded: routerMessages(LINES * BODIES, 1, startMs),
    real: realMessages(startMs),
  }
  const figures: Figure[] = []
  for (const [source, messages] of Object.entries(sources)) {
    if (messages === undefined) continue
    const bodies = bodiesOf(messages, LINES)
    const lines = bodies.length * LINES
    const { ours, theirs } = await medians(
      { ours: () => readOurs(bodies, startMs + 60_000), theirs: () => readTheirs(bodies) },
      (Math.min(seconds, 10) * 1000) / 2,
    )
    const perSecond = (ms: number): number => Math.round((lines / ms) * 1000)
    const ratio = theirs / ours
    figures.push({
      name: `parse, ${source} lines, Bun`,
      unit: 'lines/s',
      ours: perSecond(ours),
      theirs: perSecond(theirs),
      ratio: Number(ratio.toFixed(2)),
      target: `at least ${LINES_PER_S_MIN}/s and ${RATIO_MIN} times theirs`,
      met: perSecond(ours) >= LINES_PER_S_MIN && ratio >= RATIO_MIN,
    })
  }
  return figures
}
