/**
 * Reading, validating and encoding bursts of 100 router lines, without HTTP, in Bun and in workerd,
 * beside what most receivers do: decode the body and run a regular expression over each line.
 */
import { type Clock, cpuClock, medians } from './compare.ts'
import { bodiesOf, realMessages, routerMessages } from './lines.ts'
import { readOurs, readTheirs } from './parse-ways.ts'
import { cpuMsOf } from './process.ts'
import type { BenchOptions, Figure } from './run.ts'
import { startWorker } from './workerd.ts'

const LINES = 100
const BODIES = 50
const LINES_PER_S_MIN = 2_000_000
const RATIO_MIN = 3
const SECONDS_MAX = 20

/** So that a request to workerd is nothing beside what it does. */
const RUNS_A_REQUEST = 10

/** The time of parsing all bodies, ms of CPU. */
interface Took {
  ours: number
  theirs: number
}

type Bodies = readonly Uint8Array<ArrayBuffer>[]

export async function benchParse({ seconds }: BenchOptions): Promise<Figure[]> {
  const startMs = Math.floor(Date.now() / 60_000) * 60_000 - 60_000
  const sources = {
    seeded: routerMessages(LINES * BODIES, 1, startMs),
    real: realMessages(startMs)?.slice(0, LINES * BODIES),
  }
  const forMs = (Math.min(seconds, SECONDS_MAX) * 1000) / 4
  const figures: Figure[] = []
  for (const [source, messages] of Object.entries(sources)) {
    if (messages === undefined) continue
    const bodies = bodiesOf(messages, LINES)
    for (const [runtime, measure] of Object.entries({ Bun: inBun, workerd: inWorkerd })) {
      const took = await measure(bodies, startMs + 60_000, forMs)
      figures.push(figure(`parse, ${source} lines, ${runtime}`, bodies.length * LINES, took))
    }
  }
  return figures
}

async function inBun(bodies: Bodies, receivedAtMs: number, forMs: number): Promise<Took> {
  const ways = { ours: () => readOurs(bodies, receivedAtMs), theirs: () => readTheirs(bodies) }
  return await medians(ways, { forMs, clock: cpuClock })
}

async function inWorkerd(bodies: Bodies, receivedAtMs: number, forMs: number): Promise<Took> {
  const worker = await startWorker(`${import.meta.dir}/parse-worker.ts`)
  const ask = async (path: string, init?: RequestInit): Promise<string> => {
    const response = await fetch(`${worker.url}${path}`, init)
    if (!response.ok) throw new Error(await response.text())
    return await response.text()
  }
  try {
    const lengths = bodies.map(({ length }) => length).join()
    const body = new Blob([...bodies])
    await ask('/bodies', { method: 'POST', body, headers: { 'x-lengths': lengths } })
    const query = `?received=${receivedAtMs}&runs=${RUNS_A_REQUEST}`
    const ways = { ours: () => ask(`/ours${query}`), theirs: () => ask(`/theirs${query}`) }
    const clock: Clock = () => cpuMsOf(worker.pid)
    const { ours, theirs } = await medians(ways, { forMs, clock })
    return { ours: ours / RUNS_A_REQUEST, theirs: theirs / RUNS_A_REQUEST }
  } finally {
    await worker.stop()
  }
}

function figure(name: string, lines: number, { ours, theirs }: Took): Figure {
  const perSecond = (ms: number): number => Math.round((lines / ms) * 1000)
  const ratio = theirs / ours
  return {
    name,
    unit: 'lines/s',
    ours: perSecond(ours),
    theirs: perSecond(theirs),
    ratio: Number(ratio.toFixed(2)),
    target: `at least ${LINES_PER_S_MIN}/s and ${RATIO_MIN} times theirs`,
    met: perSecond(ours) >= LINES_PER_S_MIN && ratio >= RATIO_MIN,
  }
}
