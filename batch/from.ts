/** `shelf from TOPIC`: a topic as lines of JSON, from its beginning on, as long as you look. */
import type { Log } from '../broker/log.ts'
import { CHUNK_MS, timeStep } from '../core/chunk.ts'
import { locateLog } from './locate.ts'
import { eachPartition, partitionsOf } from './loop.ts'
import { writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { type Program, UsageError } from './program.ts'
import { parseTime } from './time.ts'
import { printRecord } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000

export const from: Program = {
  usage: 'from TOPIC',
  summary: 'Prints a topic as lines of JSON, from its start, and follows it.',
  details: `
Topics: raw (bursts), aggregates (cells), dead-letter, check-results,
rules, deliveries.
Lines of one partition come in the order of the log.

  shelf from raw | head -3
  shelf from raw --since 1h --until now > hour.ndjson`,
  options: {
    since: {
      type: 'string',
      value: 'TIME',
      help: 'log time to start at: 15m, 2h, 2026-11-23T03:00 (raw: the start of its chunk)',
    },
    until: { type: 'string', value: 'TIME', help: 'log time to end at; without it, follow' },
    partition: { type: 'string', short: 'p', value: 'N', help: 'only this partition' },
  },
  positionals: [1, 1],
  async run({ text, positionals }, signal) {
    const [topic = ''] = positionals
    const log = openLog(locateLog(process.env))
    const partitions = partitionsOf(await log.topics(), topic)
    const only = text.partition === undefined ? undefined : Number(text.partition)
    if (only !== undefined && !(Number.isInteger(only) && only >= 0 && only < partitions)) {
      throw new UsageError(`${topic} has the partitions 0 to ${partitions - 1}`)
    }
    const sinceMs = text.since === undefined ? undefined : parseTime(text.since)
    const untilMs = text.until === undefined ? undefined : parseTime(text.until)
    await eachPartition(partitions, signal, async (partition, stop) => {
      if (only !== undefined && partition !== only) return
      const start = await startOffset(log, topic, partition, sinceMs)
      const end = await endOffset(log, topic, partition, untilMs)
      await print(log, topic, partition, start, end, stop)
    })
  },
}

function startOffset(
  log: Log,
  topic: string,
  partition: number,
  sinceMs: number | undefined,
): Promise<number> {
  if (sinceMs === undefined) return log.offsetAt(topic, partition, 'earliest')
  // The first record of a time step starts a chunk, so `shelf aggregate` can take it from there.
  return log.offsetAt(topic, partition, timeStep(sinceMs) * CHUNK_MS)
}

async function endOffset(
  log: Log,
  topic: string,
  partition: number,
  untilMs: number | undefined,
): Promise<number> {
  if (untilMs === undefined) return Number.POSITIVE_INFINITY
  return await log.offsetAt(topic, partition, untilMs >= Date.now() ? 'latest' : untilMs)
}

async function print(
  log: Log,
  topic: string,
  partition: number,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<void> {
  let next = start
  while (next < end && !signal.aborted) {
    const records = await log.read(topic, partition, next, { waitMs: IDLE_WAIT_MS, signal })
    let out = ''
    for (const record of records) {
      if (record.offset < end) out += `${printRecord(record)}\n`
      next = record.offset + 1
    }
    if (out !== '') await writeOut(out)
  }
}
