/**
 * What it costs to ignore a line of the app's output, against keeping a line of the router: most
 * lines of a drain are the app's own. In this process, without HTTP. A request has a cost of its own
 * (its id, its record); a line's is what 99 lines more in the body add to that, by 99.
 */
import { PartitionAggregator } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { type Burst, encodeBurst } from '../core/burst.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'
import { cpuClock, median } from './compare.ts'
import type { BenchOptions, Figure } from './run.ts'

const LINES = 100

/** Requests a run. */
const REQUESTS = 40

/** More runs than fit in this change nothing. */
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
  hash: (i) => output(i, `Processing by Users#show as HTML ${'and so on '.repeat(20)}`),
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

function bodyOf(lines: number, ...kinds: string[]): Uint8Array {
  const messages = Array.from({ length: lines }, (_, i) =>
    kinds.map((kind) => KINDS[kind]?.(i) ?? ''),
  )
  const frames = messages.flat().map((line) => `${line.length} ${line}`)
  return new TextEncoder().encode(frames.join(''))
}

const BODIES = {
  router: bodyOf(LINES, 'router'),
  output: bodyOf(LINES, 'output'),
  hash: bodyOf(LINES, 'hash'),
  both: bodyOf(LINES, 'router', 'output'),
  oneKept: bodyOf(1, 'router'),
  oneIgnored: bodyOf(1, 'output'),
}

type Medians = Record<keyof typeof BODIES, number>

/** As the edge reads a body. */
async function parse(body: Uint8Array, frameId: string): Promise<Burst> {
  const headers = { frameId, drainToken: 'd.bench', messages: LINES }
  return await herokuBurst('bench', headers, body, timeMs + 60_000, async () => '')
}

async function parseAll(body: Uint8Array): Promise<void> {
  for (let i = 0; i < REQUESTS; i++) await parse(body, `${i}`)
}

/** From the body to the records that become rows. */
async function aggregateAll(body: Uint8Array): Promise<void> {
  const aggregator = new PartitionAggregator()
  for (let i = 0; i < REQUESTS; i++) {
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
    const { router, output, hash, both, oneKept, oneIgnored } = await measure(run, shareMs)
    const keptNs = (router - oneKept) / (LINES - 1)
    console.log(
      `${way}: a line that is kept takes ${Math.round(keptNs)} ns, ` +
        `and a request of one line ${Math.round(oneIgnored)} ns`,
    )
    figures.push(
      figure(`ignore a line, ${way}`, (output - oneIgnored) / (LINES - 1), keptNs),
      figure(`the same, with a # in it`, (hash - oneIgnored) / (LINES - 1), keptNs),
      figure(`the same, one beside each that is kept`, (both - router) / LINES, keptNs),
      figure(`the same, with its share of a request`, output / LINES, router / LINES),
    )
  }
  return figures
}

/** Medians of runs in turn, ns of CPU a request. */
async function measure(run: (body: Uint8Array) => Promise<void>, forMs: number): Promise<Medians> {
  const took = Object.entries(BODIES).map(([name, body]) => ({ name, body, ns: [0].slice(1) }))
  const endMs = performance.now() + forMs
  for (let runs = 0; runs < WARM_UP_RUNS * 2 || performance.now() < endMs; runs++) {
    for (const { body, ns } of took) {
      const startMs = cpuClock()
      await run(body)
      if (runs >= WARM_UP_RUNS) ns.push(((cpuClock() - startMs) * 1e6) / REQUESTS)
    }
  }
  const medianOf = (name: keyof Medians): number =>
    median(took.find((each) => each.name === name)?.ns ?? [])
  return {
    router: medianOf('router'),
    output: medianOf('output'),
    hash: medianOf('hash'),
    both: medianOf('both'),
    oneKept: medianOf('oneKept'),
    oneIgnored: medianOf('oneIgnored'),
  }
}

function figure(name: string, ignoredNs: number, keptNs: number): Figure {
  const ratio = ignoredNs / keptNs
  return {
    name,
    unit: 'ns',
    ours: Math.round(ignoredNs),
    theirs: null,
    ratio: Number(ratio.toFixed(3)),
    target: `below ${RATIO_MAX} of keeping one`,
    met: ratio < RATIO_MAX,
  }
}
