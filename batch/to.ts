/** `shelf to TOPIC`: lines of JSON, as `shelf from` and `shelf aggregate` print them, into a topic. */
import { LogError } from '../broker/error.ts'
import type { Log, NewRecord } from '../broker/log.ts'
import { locateLog } from './locate.ts'
import { partitionsOf, pause } from './loop.ts'
import { lineBatches, parseLine } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { type Program, TryAgainError } from './program.ts'
import { newLineSchema } from './topics.ts'

/** Tries of an append while the log is away, and the pause between them: a minute in all. */
const TRIES_MAX = 60
const PAUSE_MS = 1000

/** Well under the bound of a request to the broker, 16 MiB; a record has at most 1 MiB. */
const APPEND_RECORDS_MAX = 500
const APPEND_CHARS_MAX = 4 * 1_048_576

export const to: Program = {
  usage: 'to TOPIC',
  summary: 'Appends lines of JSON from standard input to a topic.',
  details: `
  shelf from raw | shelf aggregate | shelf to aggregates`,
  options: {
    'dry-run': { type: 'boolean', help: 'read and check all lines, append none' },
  },
  positionals: [1, 1],
  async run({ flags, positionals }, signal) {
    const [topic = ''] = positionals
    const log = openLog(locateLog(process.env))
    partitionsOf(await log.topics(), topic)
    const schema = newLineSchema(topic)
    let number = 0
    for await (const lines of lineBatches(Bun.stdin.stream(), signal)) {
      let batch: NewRecord[] = []
      let chars = 0
      for (const text of lines) {
        number += 1
        const record = parseLine(schema, text, number)
        if (batch.length >= APPEND_RECORDS_MAX || chars + record.value.length > APPEND_CHARS_MAX) {
          if (!flags['dry-run']) await append(log, topic, batch, signal)
          batch = []
          chars = 0
        }
        batch.push(record)
        chars += record.value.length
      }
      if (!flags['dry-run'] && batch.length > 0) await append(log, topic, batch, signal)
    }
  },
}

/** A try whose answer got lost may have written: readers of each topic know repeats by their ids. */
async function append(
  log: Log,
  topic: string,
  records: readonly NewRecord[],
  signal: AbortSignal,
): Promise<void> {
  if (records.length === 0) return
  for (let tries = 1; ; tries++) {
    try {
      await log.append(topic, records)
      return
    } catch (error) {
      if (!(error instanceof LogError) || !error.retryable) throw error
      if (tries === TRIES_MAX || signal.aborted) throw new TryAgainError(error.message)
      await pause(PAUSE_MS, signal)
    }
  }
}
