/**
 * Check: how long 100,000 rules take that are decided each minute on one core, and how soon after a
 * request that crosses a threshold people are told, through the whole stack.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openState } from '../batch/state.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { Cells } from '../core/cell.ts'
import { GRACE_MS, PartitionChecker } from '../core/check.ts'
import { drainSecret } from '../core/credential.ts'
import { record as recordValue } from '../core/histogram.ts'
import { MINUTE_MS } from '../core/ledger.ts'
import { type Rule, ruleSchema } from '../core/rule.ts'
import { RULE_RECORD_VERSION } from '../core/rule-record.ts'
import type { Figure } from './run.ts'
import { startUp } from './stack.ts'

const APPS = 10_000
const RULES_PER_APP = 10
const MINUTES = 15
const START_MS = Date.UTC(2026, 10, 23, 3)

/** Of the live measurement: a rule each that is crossed once. */
const PROBES = 3

export async function benchCheck(): Promise<Figure[]> {
  return [...benchRules(), ...(await benchDetection())]
}

/** What one app has: the usual ones, over the windows that Heroku offers. */
function rulesOf(app: string): Rule[] {
  const windows = [1, 5, 10]
  const metrics: [string, number][] = [
    ['p95', 1000],
    ['p99', 2000],
    ['max', 29_000],
    ['error-rate', 0.05],
    ['throughput', 100_000],
    ['H12', 1],
    ['R14', 1],
    ['memory', 0.9],
    ['load', 4],
    ['no-data', 1],
  ]
  return metrics.slice(0, RULES_PER_APP).map(([metric, threshold], i) =>
    ruleSchema.parse({
      ...{ id: `${app}-${i}`, apps: [app], process: metric === 'no-data' ? null : 'web' },
      ...{ metric, windowMinutes: windows[i % windows.length] },
      ...(metric === 'no-data' ? {} : { threshold }),
    }),
  )
}

function benchRules(): Figure[] {
  const checker = new PartitionChecker({ partition: 0 })
  for (let app = 0; app < APPS; app++) {
    for (const rule of rulesOf(`app-${app}`)) {
      const entry = { version: RULE_RECORD_VERSION, kind: 'rule', id: rule.id, rule } as const
      checker.learn({ ...entry, revision: app * RULES_PER_APP, timestampMs: START_MS - 1 })
    }
  }
  const decidesMs: number[] = []
  let takesMs = 0
  let offset = 0
  for (let minute = 0; minute < MINUTES; minute++) {
    const bucketMs = START_MS + minute * MINUTE_MS
    const push = (cells: Cells, watermarkMs: number): number => {
      const chunk = { epoch: 0, begin: 0, from: offset, to: offset + 1, deadLetters: [] }
      offset += 1
      const records = toAggregateRecords(0, { ...chunk, watermarkMs, cells })
      const from = performance.now()
      for (const record of records) checker.push(record)
      return performance.now() - from
    }
    takesMs += push(minuteOf(bucketMs), bucketMs + MINUTE_MS - 1)
    decidesMs.push(push(new Cells(), bucketMs + MINUTE_MS + GRACE_MS))
  }
  // The first windows are not whole yet.
  const settled = decidesMs.slice(10)
  const worst = Math.round(Math.max(...settled))
  Bun.gc(true)
  console.log(
    `${APPS * RULES_PER_APP} rules of ${APPS} apps: ${settled.map(Math.round).join(', ')} ms a minute, ` +
      `and ${Math.round(takesMs / MINUTES)} ms to take a minute's cells, ` +
      `${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`,
  )
  return [figure('100,000 rules decided, a minute', 'ms', worst, 'below 10000', worst < 10_000)]
}

function minuteOf(bucketMs: number): Cells {
  const cells = new Cells()
  for (let i = 0; i < APPS; i++) {
    const app = `app-${i}`
    const cell = cells.requestCell(app, 'web', bucketMs)
    for (let k = 0; k < 40; k++)
      recordValue(cell.service, Math.floor(10 * 1.2 ** (k % 30)) + (i % 7))
    cell.requests = 40
    cell.status.set(200, 39).set(503, 1)
    const key = { app, process: 'web', source: '', bucketMs }
    for (const [name, value] of [
      ['memory_total', 300],
      ['memory_quota', 512],
      ['load_avg_1m', 0.5],
    ] as const) {
      const one = { count: 1, sum: value, min: value, max: value, last: value, lastMs: bucketMs }
      cells.addGauge({ ...key, name, ...one })
    }
    cells.addLedger(app, bucketMs, { received: 43, kept: 43 })
  }
  return cells
}

const figure = (name: string, unit: string, ours: number, target: string, met: boolean): Figure => {
  return { name, unit, ours, theirs: null, ratio: null, target, met }
}

/** Live: a slow request in each of some minutes, a rule of one minute, and a webhook. */
async function benchDetection(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const heard = new Map<string, number>()
  const hook = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const text = await request.text()
      for (const [app] of text.matchAll(/probe-\d+/g)) {
        if (!heard.has(app)) heard.set(app, Date.now())
      }
      return new Response(null, { status: 204 })
    },
  })
  process.env.SHELF_CHANNEL_BENCH = `http://127.0.0.1:${hook.port}/`
  const { up, urls } = await startUp(dir)
  try {
    const env = { ...process.env, SHELF_DIR: dir }
    const shelf = (...args: string[]) =>
      Bun.spawn([process.execPath, join(import.meta.dir, '../batch/shelf.ts'), ...args], {
        ...{ env, stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' },
      }).exited
    await shelf(
      ...['rule', 'add', 'slow', '--app', '*', '--metric', 'max', '--threshold', '5000'],
      ...['--window', '1m', '--notify', 'bench'],
    )
    const [key] = openState(dir).drainKeys
    const drain = new URL(urls.drain ?? '')
    if (key === undefined) throw new Error('the state folder holds no key')
    await Bun.sleep(MINUTE_MS - (Date.now() % MINUTE_MS))
    const sinceMs: number[] = []
    const beyondMs: number[] = []
    for (let probe = 0; probe < PROBES; probe++) {
      const app = `probe-${probe}`
      // Anywhere in its minute.
      await Bun.sleep(MINUTE_MS - (Date.now() % MINUTE_MS) + Math.random() * (MINUTE_MS - 1000))
      const crossedMs = Date.now()
      const headers = {
        authorization: `Basic ${btoa(`${app}:${await drainSecret(key, app, 'bench')}`)}`,
        'content-type': 'application/logplex-1',
        'logplex-frame-id': crypto.randomUUID(),
        'logplex-msg-count': '1',
      }
      const url = drain.origin + drain.pathname
      await fetch(url, { method: 'POST', headers, body: slowFrame(crossedMs) })
      const endMs = Math.ceil(crossedMs / MINUTE_MS) * MINUTE_MS
      while (!heard.has(app) && Date.now() < endMs + 30_000) await Bun.sleep(20)
      const heardMs = heard.get(app) ?? Number.NaN
      sinceMs.push(heardMs - crossedMs)
      beyondMs.push(heardMs - endMs)
    }
    const worst = Math.max(...sinceMs)
    const beyond = Math.max(...beyondMs)
    console.log(
      `from the slow request to the webhook: ${sinceMs.join(', ')} ms; ` +
        `from the end of its minute: ${beyondMs.join(', ')} ms`,
    )
    return [
      figure('slow request to webhook, most', 'ms', worst, 'below 70000', worst < 70_000),
      figure('end of the window to webhook, most', 'ms', beyond, 'below 10000', beyond < 10_000),
    ]
  } finally {
    up.kill('SIGINT')
    await up.exited
    await hook.stop(true)
    rmSync(dir, { recursive: true, force: true })
  }
}

function slowFrame(timeMs: number): string {
  const line =
    `<158>1 ${new Date(timeMs).toISOString().slice(0, 23)}+00:00 host heroku router - at=info ` +
    'method=GET path="/" host=x.example.com request_id=8601b555-6a83-4c12-8269-97c8e32cdb22 ' +
    'fwd="192.0.2.1" dyno=web.1 connect=1ms service=9000ms status=200 bytes=10 protocol=https\n'
  return `${line.length} ${line}`
}
