/** `shelf aggregate` as a filter: lines of `shelf from raw` in, lines for `shelf to aggregates` out. */
import type { Log } from '../broker/log.ts'
import { type Chunk, PartitionAggregator } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import type { Position } from '../core/chunk.ts'
import { LookBack } from '../core/late.ts'
import { searchLog } from './aggregate-look-back.ts'
import { readBack } from './aggregate-read-back.ts'
import { lastAggregate } from './aggregate-tail.ts'
import { locateLog } from './locate.ts'
import { pause } from './loop.ts'
import { lineBatches, parseLine, writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { say } from './program.ts'
import { tickDueAt } from './tick.ts'
import { RAW, type RawLine, rawLineContent, rawLineSchema } from './topics.ts'

/** How often open chunks are looked at: with it, freshness is the same as without the pipe. */
const TICK_CHECK_MS = 250

/**
 * Each partition's lines are in their order, as `shelf from raw` prints them; a hole is a loss. The
 * first one is taken as the start of a chunk. A chunk that no line closes is not written: somebody
 * else may still add to it.
 */
export async function aggregateLines(signal: AbortSignal): Promise<void> {
  const log = findLog()
  const partitions = new Map<number, LinesOfPartition>()
  const ended = new AbortController()
  const ticking =
    log && closeQuietPartitions(log, partitions, AbortSignal.any([signal, ended.signal]))
  let number = 0
  for await (const texts of lineBatches(Bun.stdin.stream(), signal)) {
    const lines = texts.map((text) => {
      number += 1
      return parseLine(rawLineSchema, text, number)
    })
    let out = ''
    for (const [partition, batch] of Map.groupBy(lines, (line) => line.partition)) {
      const [first] = batch
      if (first === undefined) continue
      const known =
        partitions.get(partition) ??
        (await LinesOfPartition.begin(log, partition, positionOf(first)))
      partitions.set(partition, known)
      out += await known.take(batch, signal)
    }
    if (out !== '') await writeOut(out)
  }
  ended.abort()
  await ticking
  for (const [partition, { waiting }] of partitions) {
    if (waiting?.bursts) {
      say(`aggregate: the last chunk of partition ${partition} is still open, and was not written`)
    }
  }
}

/** The log that the lines come from, as far as is known; a filter can do without. */
function findLog(): Log | undefined {
  try {
    return openLog(locateLog(process.env))
  } catch {
    return undefined
  }
}

const positionOf = ({ offset, timestamp }: RawLine): Position => ({
  offset,
  timestamp: Date.parse(timestamp),
})

/** One partition of the input, and what it makes. */
class LinesOfPartition {
  private next: number | undefined
  private toldOfLate = false

  private constructor(
    private readonly partition: number,
    private readonly log: Log | undefined,
    private readonly aggregator: PartitionAggregator,
  ) {}

  /** The lines are of the epoch in which the log is: they do not say it themselves. */
  static async begin(
    log: Log | undefined,
    partition: number,
    first: Position,
  ): Promise<LinesOfPartition> {
    let aggregator = new PartitionAggregator(undefined, first.offset)
    try {
      const tail = log && (await lastAggregate(log, partition))
      if (tail !== undefined) {
        const { epoch, begin } = tail
        aggregator = new PartitionAggregator({ epoch, begin }, first.offset)
      }
      if (log !== undefined) await readBack(log, partition, first, aggregator)
    } catch {
      // A filter can do without: then its window begins with the input.
    }
    return new LinesOfPartition(partition, log, aggregator)
  }

  get waiting() {
    return this.aggregator.waiting
  }

  /** What is to be printed of the chunks that the lines closed. */
  async take(lines: readonly RawLine[], signal: AbortSignal): Promise<string> {
    await this.lookBack(lines, signal)
    return lines.map((line) => this.push(line)).join('')
  }

  private push(line: RawLine): string {
    const at = positionOf(line)
    const next = this.next ?? line.offset
    let out = ''
    if (line.offset > next) {
      say(`aggregate: partition ${this.partition} lacks the offsets ${next} to ${line.offset - 1}`)
      for (const chunk of this.aggregator.gap(next, at)) out += this.print(chunk)
    }
    this.next = line.offset + 1
    const content = rawLineContent(line)
    if (typeof content === 'object' && 'undecodable' in content) {
      const key = 'key' in line ? line.key : null
      return out + this.print(this.aggregator.push({ ...at, key, value: content.undecodable }))
    }
    return out + this.print(this.aggregator.pushContent({ ...at, key: null, value: '' }, content))
  }

  /** The window may begin with the input: all before it is looked up for bursts that come late. */
  private async lookBack(lines: readonly RawLine[], signal: AbortSignal): Promise<void> {
    const search = new LookBack()
    for (const line of lines) {
      if (!('id' in line)) continue
      search.ask(positionOf(line), { id: line.id, receivedAtMs: Date.parse(line.received) })
    }
    const first = lines[0]?.offset ?? 0
    if (search.last !== undefined) {
      if (this.log === undefined) this.tellOfLate()
      else await searchLog(this.log, this.partition, search, first, signal)
    }
    this.aggregator.recall(search)
  }

  private tellOfLate(): void {
    if (this.toldOfLate) return
    this.toldOfLate = true
    say(
      `aggregate: partition ${this.partition} has bursts that came late. Whether they came before ` +
        "can't be looked up without the log: set SHELF_LOG",
    )
  }

  private print(chunk: Chunk | undefined): string {
    if (chunk === undefined) return ''
    for (const { record, message } of chunk.deadLetters) {
      say(`aggregate: partition ${this.partition}, offset ${record.offset}: ${message}`)
    }
    return toAggregateRecords(this.partition, chunk)
      .map((record) => `${JSON.stringify(record)}\n`)
      .join('')
  }
}

/**
 * Where nothing follows a burst, a tick closes its chunk, and each minute ends with one: the filter
 * appends them to the log it finds, if the line it saw last is the last one there. Without a log the
 * chunk waits for the next burst.
 */
async function closeQuietPartitions(
  log: Log,
  partitions: ReadonlyMap<number, LinesOfPartition>,
  signal: AbortSignal,
): Promise<void> {
  const seenAt = new Map<number, { offset: number; ms: number }>()
  while (!signal.aborted) {
    await pause(TICK_CHECK_MS, signal)
    for (const [partition, { waiting }] of partitions) {
      if (waiting === undefined || signal.aborted) continue
      const seen = seenAt.get(partition)
      // Looked at once before: from then on the step passes by our clock, whatever the log's says.
      if (seen?.offset !== waiting.last.offset) {
        seenAt.set(partition, { offset: waiting.last.offset, ms: Date.now() })
        continue
      }
      if (Date.now() < tickDueAt(waiting, seen.ms)) continue
      try {
        const latest = await log.offsetAt(RAW, partition, 'latest')
        if (latest === waiting.last.offset + 1) await log.append(RAW, [{ partition, value: '' }])
      } catch {
        // The log is away: the chunk waits, and the next look may find it again.
      }
    }
  }
}
