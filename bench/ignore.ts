/**
 * What it costs to ignore a line of the app's output, against keeping a line of the router: most
 * lines of a drain are the app's own. In this process, without HTTP.
 */
import { PartitionAggregator } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { type Burst, encodeBurst } from '../core/burst.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'
import type { BenchOptions, Figure } from './run.ts'

const LINES = 100

/** Bodies a run, and the share of a run that no more than this takes, s. */
const BODIES = 40
const SECONDS_MAX = 20

/** The first runs are slower: the code is not compiled yet. */
const WARM_UP_RUNS = 20

const RATIO_MAX = 0.1

/** Ends the chunk before it: a chunk never crosses a multiple of 4096 offsets. */
const NEXT_CHUNK_OFFSET = 4096

const timeMs = Math.floor(Date.now() / 60_000) * 60_000 - 60_000

/** Messages of one minute, on nine dynos; those of the app are as long as those of the router. */
const KINDS: Record<string, (i: number) => string> = {
  router: (i) =>
    message(
      i,
      'heroku router',
      'at=info method=GET path="/api/users/900000000/count" host=app.example.com ' +
        'request_id=8601b555-6a83-4c12-8269-97c8e32cdb22 fwd="192.0.2.1" ' +
        `dyno=web.${i % 9} connect=${i % 3}ms service=${(i * 7919) % 3000}ms status=200 ` +
        `bytes=${i * 31} protocol=https`,
    ),
  output: (i) => output(i, 'Completed 200 OK in 12ms (Views: 3.1ms) '),
  hash: (i) => output(i, 'Processing by Users#show as HTML, not as JSON '),
}

function output(i: number, words: string): string {
  const bytes = KINDS.router?.(i).length ?? 0
  return message(i, `app web.${i % 9}`, words.repeat(9))
    .slice(0, bytes - 1)
    .padEnd(bytes, '\n')
}

function message(i: number, source: string, text: string): string {
  const time = new Date(timeMs + i * 311).toISOString().slice(0, 23)
  return `<190>1 ${time}456+00:00 host ${source} - ${text}\n`
}

function bodyOf(...kinds: string[]): Uint8Array {
  const lines = Array.from({ length: LINES }, (_, i) => kinds.map((kind) => KINDS[kind]?.(i) ?? ''))
  return Buffer.from(
    lines
      .flat()
      .map((line) => `${line.length} ${line}`)
      .join(''),
  )
}

const bodies = {
  router: bodyOf('router'),
  output: bodyOf('output'),
  hash: bodyOf('hash'),
  both: bodyOf('router', 'output'),
}

type Body = keyof typeof bodies

/** As the edge reads a body. */
async function parse(body: Uint8Array, frameId: string): Promise<Burst> {
  const headers = { frameId, drainToken: 'd.bench', messages: LINES }
  return await herokuBurst('bench', headers, body, timeMs + 60_000, async () => '')
}

async function parseAll(body: Uint8Array): Promise<void> {
  for (let i = 0; i < BODIES; i++) await parse(body, `${i}`)
}

/** From the body to the records that become rows. */
async function aggregateAll(body: Uint8Array): Promise<void> {
  const aggregator = new PartitionAggregator()
  for (let i = 0; i < BODIES; i++) {
    const value = encodeBurst(await parse(body, `${i}`)).toBase64()
    aggregator.push({ offset: i, timestamp: timeMs, key: 'bench', value })
  }
  const closing = { offset: NEXT_CHUNK_OFFSET, timestamp: timeMs, key: null, value: '' }
  const chunk = aggregator.push(closing)
  if (chunk === undefined || toAggregateRecords(0, chunk).length !== 1) {
    throw new Error('the bursts did not become one record')
  }
}

const WAYS = {
  'parse only': parseAll,
  'until rows are ready': aggregateAll,
}

export async function benchIgnore({ seconds }: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = []
  const shareMs = (Math.min(seconds, SECONDS_MAX) / Object.keys(WAYS).length) * 1000
  for (const [way, run] of Object.entries(WAYS)) {
    const { router, output, hash, both } = await measure(run, shareMs)
    console.log(`${way}: keeping a line of the router takes ${Math.round(router)} ns`)
    figures.push(
      figure(`ignore a line, ${way}`, output, router),
      figure(`ignore a line with a #, ${way}`, hash, router),
      figure(`ignore a line beside one that is kept, ${way}`, both - router, router),
    )
  }
  return figures
}

/** The median of runs in turn, ns for each of the 100 lines (of `both`: for each two). */
async function measure(
  run: (body: Uint8Array) => Promise<void>,
  forMs: number,
): Promise<Record<Body, number>> {
  const names = ['router', 'output', 'hash', 'both'] as const
  const took: Record<Body, number[]> = { router: [], output: [], hash: [], both: [] }
  const endMs = performance.now() + forMs
  for (let runs = 0; runs < WARM_UP_RUNS * 2 || performance.now() < endMs; runs++) {
    for (const name of names) {
      const startMs = performance.now()
      await run(bodies[name])
      const ns = ((performance.now() - startMs) * 1e6) / BODIES / LINES
      if (runs >= WARM_UP_RUNS) took[name].push(ns)
    }
  }
  const { router, output, hash, both } = took
  return {
    router: median(router),
    output: median(output),
    hash: median(hash),
    both: median(both),
  }
}

function median(values: number[]): number {
  values.sort((a, b) => a - b)
  return values[Math.floor(values.length / 2)] ?? Number.NaN
}

function figure(name: string, ignoreNs: number, keepNs: number): Figure {
  const ratio = ignoreNs / keepNs
  return {
    name,
    unit: 'ns',
    ours: Math.round(ignoreNs),
    theirs: null,
    ratio: Number(ratio.toFixed(3)),
    target: `below ${RATIO_MAX} of keeping one`,
    met: ratio < RATIO_MAX,
  }
}
