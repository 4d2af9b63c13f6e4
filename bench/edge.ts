/**
 * The whole edge in workerd: HTTP in, a REST produce out to a sink that answers at once, beside a
 * Worker that forwards the body unread. Whoever asks and the sink share the machine with it, so the
 * CPU of workerd by request says more than requests a second.
 */
import { drainKeysToText, drainSecret } from '../core/credential.ts'
import { startLocalEdge } from '../edge/dev.ts'
import { median } from './compare.ts'
import { load, post } from './http-load.ts'
import { bodiesOf, routerMessages } from './lines.ts'
import { cpuMsOf, peakMBOf } from './process.ts'
import type { BenchOptions, Figure } from './run.ts'
import { startWorker, workerdPids } from './workerd.ts'

const LINES = [1, 10, 100]
const ROUNDS = 4
const WARM_UP_ROUNDS = 1
const RATIO_MIN = 0.7

/** By these many lines, that is. */
const RATIO_LINES = 100

const ROUND_SECONDS_MAX = 1.5

interface Target {
  url: string
  pid: number
}

interface Round {
  perSecond: number
  cpuMs: number
}

export async function benchEdge({ seconds }: BenchOptions): Promise<Figure[]> {
  const sink = Bun.spawn([process.execPath, `${import.meta.dir}/sink-server.ts`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await firstLine(sink.stdout)
  const log = `http://shelf:bench@127.0.0.1:${port}`
  const key = { id: 'k1', key: Buffer.alloc(32, 1).toString('base64url') }
  const pidOf = workerdPids()
  const edge = await startLocalEdge(0, {
    ...{ SHELF_LOG: log, SHELF_DRAIN_KEYS: drainKeysToText([key]), SHELF_REVOKED: '' },
    SHELF_DRAIN_RATE: '1000000',
  })
  const ours = { url: `${edge.url}/drains/heroku`, pid: pidOf() }
  const forward = await startWorker(`${import.meta.dir}/forward-worker.ts`, { SHELF_LOG: log })
  try {
    const authorization = `Basic ${btoa(`bench:${await drainSecret(key, 'bench', 'd1')}`)}`
    const roundMs = Math.min(seconds / (LINES.length * ROUNDS), ROUND_SECONDS_MAX) * 1000
    const figures: Figure[] = []
    for (const lines of LINES) {
      const request = (url: string) => requestOf(url, authorization, lines)
      figures.push(...(await compare(ours, forward, lines, request, roundMs)))
    }
    const [oursMB, theirsMB] = [peakMBOf(ours.pid), peakMBOf(forward.pid)]
    return [...figures, memory(oursMB, theirsMB)]
  } finally {
    await edge.stop()
    await forward.stop()
    sink.kill()
    await sink.exited
  }
}

function requestOf(url: string, authorization: string, lines: number): Uint8Array {
  const [body = new Uint8Array()] = bodiesOf(routerMessages(lines, 1, Date.now()), lines)
  const headers = {
    authorization,
    'content-type': 'application/logplex-1',
    'logplex-frame-id': crypto.randomUUID(),
    'logplex-msg-count': String(lines),
    'logplex-drain-token': 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd',
  }
  return post(url, headers, body)
}

async function compare(
  ours: Target,
  theirs: Target,
  lines: number,
  requestOf: (url: string) => Uint8Array,
  roundMs: number,
): Promise<Figure[]> {
  const rounds: { ours: Round; theirs: Round }[] = []
  for (let i = 0; i < WARM_UP_ROUNDS + ROUNDS; i++) {
    const round = {
      ours: await measure(ours, requestOf(ours.url), roundMs),
      theirs: await measure(theirs, requestOf(theirs.url), roundMs),
    }
    if (i >= WARM_UP_ROUNDS) rounds.push(round)
  }
  const of = (who: 'ours' | 'theirs', what: keyof Round): number =>
    median(rounds.map((round) => round[who][what]))
  const ratio = of('ours', 'perSecond') / of('theirs', 'perSecond')
  const cpuMs = (who: 'ours' | 'theirs'): number => round2((of(who, 'cpuMs') * 1000) / lines)
  const isBar = lines === RATIO_LINES
  return [
    {
      name: `edge in workerd, ${lines} lines a request, beside forwarding`,
      unit: 'requests/s',
      ours: Math.round(of('ours', 'perSecond')),
      theirs: Math.round(of('theirs', 'perSecond')),
      ratio: round2(ratio),
      target: isBar ? `at least ${RATIO_MIN}` : '-',
      met: !isBar || ratio >= RATIO_MIN,
    },
    {
      name: `edge, CPU of 1,000 lines, ${lines} a request`,
      unit: 'ms',
      ours: cpuMs('ours'),
      theirs: cpuMs('theirs'),
      ratio: round2(of('theirs', 'cpuMs') / of('ours', 'cpuMs')),
      target: '-',
      met: true,
    },
  ]
}

async function measure(target: Target, request: Uint8Array, forMs: number): Promise<Round> {
  const beforeMs = cpuMsOf(target.pid)
  const { requests, failed, ms } = await load(target.url, request, forMs)
  if (failed > 0) throw new Error(`${failed} of ${requests} requests failed`)
  return {
    perSecond: (requests / ms) * 1000,
    cpuMs: (cpuMsOf(target.pid) - beforeMs) / requests,
  }
}

function memory(ours: number, theirs: number): Figure {
  const ratio = round2(ours / theirs)
  return {
    ...{ name: 'edge, peak memory of workerd', unit: 'MB', ours, theirs, ratio },
    ...{ target: '-', met: true },
  }
}

async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  for await (const bytes of stdout) return new TextDecoder().decode(bytes).trim()
  throw new Error('the sink did not start')
}

const round2 = (value: number): number => Number(value.toFixed(2))
