/** What tests of the sinks share: records, a sink before a server, and the time that it took. */
import { openSink } from '../edge/sinks/open-sink.ts'
import type { Outcome, SinkRecord } from '../edge/sinks/sink.ts'
import type { TestServer } from './sink-servers.ts'

/** For what takes no time: no try of it is cut short, however busy the machine. */
export const AMPLE_MS = 20_000
const LATE_MS_MAX = 200

/** Of a record that a Kafka may be set to find too large. */
const LARGE_BYTES = 500_000

/**
 * One record a letter, with a key that UTF-8 and JSON make something of. That of a capital is large:
 * there are spaces behind it.
 */
export function recordsOf(letters: string): SinkRecord[] {
  return [...letters].map((letter) => ({
    key: `äpp "${letter}"`,
    value: new TextEncoder().encode(/[A-Z]/.test(letter) ? letter.padEnd(LARGE_BYTES) : letter),
  }))
}

interface Produced {
  outcomes: Outcome[]
  lines: string[]
  elapsedMs: number
}

/**
 * Throws where it took longer than its budget: by a timer that was set for the budget at the same
 * time, and is as late as all else is on a busy machine.
 */
export async function produce(
  { dialect, url }: Pick<TestServer, 'dialect' | 'url'>,
  letters: string,
  budgetMs: number,
): Promise<Produced> {
  const lines: string[] = []
  const sink = openSink(dialect, url, (line) => lines.push(line))
  const startMs = performance.now()
  let budgetEndMs: number | undefined
  const timer = setTimeout(() => {
    budgetEndMs = performance.now()
  }, budgetMs)
  const outcomes = await sink.produce('raw', recordsOf(letters), budgetMs)
  clearTimeout(timer)
  const overMs = performance.now() - (budgetEndMs ?? Number.POSITIVE_INFINITY)
  if (overMs > LATE_MS_MAX) throw new Error(`${overMs} ms over the budget`)
  return { outcomes, lines, elapsedMs: performance.now() - startMs }
}
