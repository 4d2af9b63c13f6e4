/** `shelf aggregate` as a filter: lines of `shelf from raw` in, lines for `shelf to aggregates` out. */
import type { Log } from '../broker/log.ts'
import { type Chunk, PartitionAggregator } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import type { Position } from '../core/chunk.ts'
import { locateLog } from './locate.ts'
import { pause } from './loop.ts'
import { lineBatches, parseLine, writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { say } from './program.ts'
import { stepEnd } from './tick.ts'
import { RAW, type RawLine, rawLineContent, rawLineSchema } from './topics.ts'

/** How often open chunks are looked at: with it, freshness is the same as without the pipe. */
const TICK_CHECK_MS = 250

/**
 * Each partition's lines are in their order, as `shelf from raw` prints them; a hole is a loss. The
 * first one is taken as the start of a chunk. A chunk that no line closes is not written: somebody
 * else may still add to it.
 */
export async function aggregateLines(signal: AbortSignal): Promise<void> {
  const aggregators = new Map<number, PartitionAggregator>()
  const ended = new AbortController()
  const ticking = closeQuietPartitions(aggregators, AbortSignal.any([signal, ended.signal]))
  const nextOffsets = new Map<number, number>()
  let number = 0
  for await (const lines of lineBatches(Bun.stdin.stream(), signal)) {
    let out = ''
    for (const text of lines) {
      number += 1
      const line = parseLine(rawLineSchema, text, number)
      const aggregator = aggregators.get(line.partition) ?? new PartitionAggregator()
      aggregators.set(line.partition, aggregator)
      const position = { offset: line.offset, timestamp: Date.parse(line.timestamp) }
      const next = nextOffsets.get(line.partition) ?? line.offset
      if (line.offset > next) {
        say(
          `aggregate: partition ${line.partition} lacks the offsets ${next} to ${line.offset - 1}`,
        )
        for (const chunk of aggregator.gap(next, position)) out += printChunk(line.partition, chunk)
      }
      nextOffsets.set(line.partition, line.offset + 1)
      out += printChunk(line.partition, pushLine(aggregator, line, position))
    }
    if (out !== '') await writeOut(out)
  }
  ended.abort()
  await ticking
  for (const [partition, { waiting }] of aggregators) {
    if (waiting?.bursts) {
      say(`aggregate: the last chunk of partition ${partition} is still open, and was not written`)
    }
  }
}

function pushLine(
  aggregator: PartitionAggregator,
  line: RawLine,
  position: Position,
): Chunk | undefined {
  const content = rawLineContent(line)
  if (content !== undefined && 'undecodable' in content) {
    const key = 'key' in line ? line.key : null
    return aggregator.push({ ...position, key, value: content.undecodable })
  }
  return aggregator.pushBurst({ ...position, key: content?.app ?? null, value: '' }, content)
}

function printChunk(partition: number, chunk: Chunk | undefined): string {
  if (chunk === undefined) return ''
  for (const { record, message } of chunk.deadLetters) {
    say(`aggregate: partition ${partition}, offset ${record.offset}: ${message}`)
  }
  return toAggregateRecords(partition, chunk)
    .map((record) => `${JSON.stringify(record)}\n`)
    .join('')
}

/**
 * Where nothing follows a burst, a tick closes its chunk: the filter appends it to the log it finds,
 * if the line it saw last is the last one there. Without a log the chunk waits for the next burst.
 */
async function closeQuietPartitions(
  aggregators: ReadonlyMap<number, PartitionAggregator>,
  signal: AbortSignal,
): Promise<void> {
  let log: Log
  try {
    log = openLog(locateLog(process.env))
  } catch {
    return
  }
  const seenAt = new Map<number, { offset: number; ms: number }>()
  while (!signal.aborted) {
    await pause(TICK_CHECK_MS, signal)
    for (const [partition, { waiting }] of aggregators) {
      if (!waiting?.bursts || signal.aborted) continue
      const seen = seenAt.get(partition)
      // Looked at once before: from then on the step passes by our clock, whatever the log's says.
      if (seen?.offset !== waiting.last.offset) {
        seenAt.set(partition, { offset: waiting.last.offset, ms: Date.now() })
        continue
      }
      if (Date.now() < stepEnd(waiting.last, seen.ms)) continue
      try {
        const latest = await log.offsetAt(RAW, partition, 'latest')
        if (latest === waiting.last.offset + 1) await log.append(RAW, [{ partition, value: '' }])
      } catch {
        // The log is away: the chunk waits, and the next look may find it again.
      }
    }
  }
}
