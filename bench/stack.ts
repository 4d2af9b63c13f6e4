/**
 * The whole stack of `npm start` under a steady load: how soon a request is a row, and how much
 * memory each process takes, at the beginning and at the end.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openState } from '../batch/state.ts'
import { drainSecret } from '../core/credential.ts'
import { connect } from '../db/client.ts'
import type { BenchOptions, Figure } from './run.ts'

const PORT_OFFSET = 7000
const APPS = 20
const LINES_A_REQUEST = 20
const PROBE_EVERY_MS = 250
const POLL_EVERY_MS = 20
const MEMORY_EVERY_MS = 5000

export async function benchStack({ seconds, rate }: BenchOptions): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const first = await startUp(dir)
  first.up.kill('SIGINT')
  await first.up.exited
  const { up, urls, seconds: secondStartS } = await startUp(dir)
  const firstStartS = first.seconds
  try {
    const drain = new URL(urls.drain ?? '')
    const [key] = openState(dir).drainKeys
    if (key === undefined) throw new Error('the state folder holds no key')
    const post = async (app: string, lines: number): Promise<boolean> => {
      const body = Array.from({ length: lines }, () => frame()).join('')
      const headers = {
        authorization: `Basic ${btoa(`${app}:${await drainSecret(key, app, 'bench')}`)}`,
        'content-type': 'application/logplex-1',
        'logplex-frame-id': crypto.randomUUID(),
        'logplex-msg-count': String(lines),
      }
      // As Logplex does: three tries under one frame id.
      for (let tries = 1; tries <= 3; tries++) {
        try {
          const url = drain.origin + drain.pathname
          const response = await fetch(url, { method: 'POST', headers, body })
          await response.body?.cancel()
          if (response.status === 204) return true
          console.error(`try ${tries}: ${response.status}`)
        } catch (error) {
          console.error(`try ${tries}: ${error}`)
        }
      }
      return false
    }
    const measured = await load(urls.postgres ?? '', up.pid, post, seconds, rate)
    const freshness = measured.freshnessMs.sort((a, b) => a - b)
    const at = (q: number): number =>
      Math.round(freshness[Math.ceil(q * freshness.length) - 1] ?? Number.NaN)
    printMemory(measured.memory)
    const totals = measured.memory.map((sample) => sum(sample))
    const peakMB = Math.max(...totals)
    // The first half is warm-up: heaps and buffers fill. After it nothing may grow.
    const settled = measured.memory[Math.floor(measured.memory.length / 2)]
    const end = measured.memory[measured.memory.length - 1]
    const grownMB = Math.max(
      ...[...(end ?? [])].map(([name, mb]) => mb - (settled?.get(name) ?? 0)),
    )
    console.log(
      `${measured.lines} lines in ${seconds} s, ${measured.failed} requests failed, ` +
        `${freshness.length} probes, freshness p50 ${at(0.5)} p95 ${at(0.95)} max ${at(1)} ms`,
    )
    return [
      figure('first start, ready', 's', round(firstStartS), 'below 60', firstStartS < 60),
      figure('second start, ready', 's', round(secondStartS), 'below 8', secondStartS < 8),
      figure('requests refused', '', measured.failed, '0', measured.failed === 0),
      figure('freshness p99, answered to row', 'ms', at(0.99), 'below 5000', at(0.99) < 5000),
      figure(
        `memory of the stack, peak at ${rate} lines/s`,
        'MB',
        peakMB,
        'below 900',
        peakMB < 900,
      ),
      ...peaks(measured.memory).map(([name, mb]) =>
        figure(`of it ${name}, at most`, 'MB', mb, '-', true),
      ),
      figure(
        'most that a process grew in the second half',
        'MB',
        grownMB,
        'flat: below 30',
        grownMB < 30,
      ),
    ]
  } finally {
    up.kill('SIGINT')
    await up.exited
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The most of each process, the largest first. */
function peaks(memory: readonly MemorySample[]): [name: string, mb: number][] {
  const most = new Map<string, number>()
  for (const [name, mb] of memory.flatMap((sample) => [...sample])) {
    most.set(name, Math.max(mb, most.get(name) ?? 0))
  }
  return [...most].sort(([, a], [, b]) => b - a)
}

interface Started {
  up: Bun.Subprocess<'ignore', 'pipe', 'inherit'>
  urls: Record<string, string>
  seconds: number
}

async function startUp(dir: string): Promise<Started> {
  const startedAt = performance.now()
  const up = Bun.spawn([process.execPath, join(import.meta.dir, '../batch/shelf.ts'), 'up'], {
    env: { ...process.env, SHELF_DIR: dir, SHELF_PORT_OFFSET: String(PORT_OFFSET) },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const urls = await readUrls(up.stdout)
  return { up, urls, seconds: (performance.now() - startedAt) / 1000 }
}

const round = (value: number): number => Math.round(value * 100) / 100

function figure(name: string, unit: string, ours: number, target: string, met: boolean): Figure {
  return { name, unit, ours, theirs: null, ratio: null, target, met }
}

async function readUrls(stdout: ReadableStream<Uint8Array>): Promise<Record<string, string>> {
  const urls: Record<string, string> = {}
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stdout) {
    text += decoder.decode(chunk)
    for (const [, name = '', url = ''] of text.matchAll(/^(\w+) +(\S+)\n/gm)) urls[name] = url
    if (urls.broker !== undefined) return urls
  }
  throw new Error('the stack did not start')
}

function frame(): string {
  const service = Math.floor(4 * 1.5 ** (Math.random() * 20))
  const line =
    `<158>1 ${new Date().toISOString().slice(0, 23)}+00:00 host heroku router - at=info method=GET ` +
    'path="/api/users/900000000/count_pending_messages" host=game.example.com ' +
    'request_id=8601b555-6a83-4c12-8269-97c8e32cdb22 fwd="192.0.2.1" dyno=web.12 ' +
    `connect=1ms service=${service}ms status=200 bytes=7498 protocol=https\n`
  return `${line.length} ${line}`
}

/** Resident memory of each process, MB, shared pages counted once (PSS). */
type MemorySample = Map<string, number>

interface Measured {
  lines: number
  failed: number
  freshnessMs: number[]
  memory: MemorySample[]
}

async function load(
  databaseUrl: string,
  rootPid: number,
  post: (app: string, lines: number) => Promise<boolean>,
  seconds: number,
  rate: number,
): Promise<Measured> {
  const measured: Measured = { lines: 0, failed: 0, freshnessMs: [], memory: [] }
  const sql = connect(databaseUrl, { max: 1 })
  const answeredAt = new Map<string, number>()
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  const running = (): boolean => performance.now() < endMs

  const sending = (async () => {
    const inFlight = new Set<Promise<void>>()
    for (let requests = 0; running(); requests++) {
      const dueMs = startMs + (measured.lines / rate) * 1000
      await Bun.sleep(Math.max(0, dueMs - performance.now()))
      measured.lines += LINES_A_REQUEST
      const sent = post(`bench-${requests % APPS}`, LINES_A_REQUEST).then((ok) => {
        if (!ok) measured.failed += 1
        inFlight.delete(sent)
      })
      inFlight.add(sent)
    }
    await Promise.all(inFlight)
  })()
  const probing = (async () => {
    for (let probe = 0; running(); probe++) {
      const app = `probe-${probe}`
      if (await post(app, 1)) answeredAt.set(app, performance.now())
      await Bun.sleep(PROBE_EVERY_MS * (0.5 + Math.random()))
    }
  })()
  const watching = (async () => {
    while (running() || (answeredAt.size > 0 && performance.now() < endMs + 30_000)) {
      const waiting = [...answeredAt.keys()]
      const rows = await sql<{ app: string }[]>`
        select distinct app from shelf.requests_1m where app = any(${waiting})`
      for (const { app } of rows) {
        const at = answeredAt.get(app)
        if (at !== undefined) measured.freshnessMs.push(performance.now() - at)
        answeredAt.delete(app)
      }
      await Bun.sleep(POLL_EVERY_MS)
    }
    // What never came counts as the worst, not as nothing.
    for (const at of answeredAt.values()) measured.freshnessMs.push(performance.now() - at)
  })()
  const weighing = (async () => {
    while (running()) {
      await Bun.sleep(MEMORY_EVERY_MS)
      measured.memory.push(memoryOf(rootPid))
    }
  })()
  await Promise.all([sending, probing, watching, weighing])
  await sql.end()
  return measured
}

function memoryOf(rootPid: number): MemorySample {
  const table = Bun.spawnSync(['ps', '-eo', 'pid=,ppid=,args=']).stdout.toString()
  const rows = table
    .trim()
    .split('\n')
    .map((row) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row) ?? [])
  const pids = new Set([rootPid])
  for (let before = 0; before < pids.size; ) {
    before = pids.size
    for (const [, pid, parent] of rows) if (pids.has(Number(parent))) pids.add(Number(pid))
  }
  const sample: MemorySample = new Map()
  for (const [, pid, , args = ''] of rows) {
    if (!pids.has(Number(pid))) continue
    const name = nameOf(args)
    sample.set(name, (sample.get(name) ?? 0) + pssMB(Number(pid)))
  }
  return new Map([...sample].map(([name, mb]) => [name, Math.round(mb)]))
}

function nameOf(args: string): string {
  if (args.includes('workerd')) return 'workerd'
  if (args.startsWith('postgres') || args.includes('/postgres ')) return 'postgres'
  for (const [part, name] of [
    ['shelf.ts up', 'up'],
    ['shelf.ts run', 'worker'],
    ['broker/main.ts', 'broker'],
    ['edge/dev.ts', 'edge (host of workerd)'],
  ] as const) {
    if (args.includes(part)) return name
  }
  return 'other'
}

function pssMB(pid: number): number {
  try {
    const [, kB] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? []
    return Number(kB ?? 0) / 1024
  } catch {
    return 0
  }
}

const sum = (sample: MemorySample | undefined): number =>
  [...(sample?.values() ?? [])].reduce((total, mb) => total + mb, 0)

/** A row a process: MB at each quarter of the run. */
function printMemory(memory: readonly MemorySample[]): void {
  const at = [0, 0.25, 0.5, 0.75, 1].map((part) => memory[Math.round(part * (memory.length - 1))])
  const names = [...(at[4]?.keys() ?? [])].sort()
  console.log('memory, MB (PSS), at the beginning and after each quarter')
  console.table(
    Object.fromEntries(names.map((name) => [name, at.map((sample) => sample?.get(name) ?? 0)])),
  )
}
