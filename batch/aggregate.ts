/**
 * `shelf aggregate`: closed chunks of the raw topic become cells in the topic aggregates. It has no
 * memory of its own: it goes on from the tail of its own output. Two of it on one partition write
 * the same records twice, and nothing breaks.
 */
import type { Log } from '../broker/log.ts'
import { aggregateLines } from './aggregate-lines.ts'
import { AggregatePartitions } from './aggregate-partitions.ts'
import { AggregateWorker } from './aggregate-worker.ts'
import { locateLog } from './locate.ts'
import { eachPartitionToCome, patiently } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import type { Program } from './program.ts'

export const aggregate: Program = {
  usage: 'aggregate',
  summary: 'Folds the raw log into cells: closed chunks of raw, to the topic aggregates.',
  details: `
With input (shelf from raw | shelf aggregate | shelf to aggregates) it is a filter.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped.`,
  options: {},
  async run(_args, signal) {
    if (inputIsPiped()) await aggregateLines(signal)
    else await aggregateLog(openLog(locateLog(process.env)), signal)
  },
}

/** Aggregates all partitions until `signal`, also those that are added meanwhile. */
export async function aggregateLog(log: Log, signal: AbortSignal): Promise<void> {
  const partitions = new AggregatePartitions(log)
  await eachPartitionToCome(
    'aggregate',
    signal,
    () => partitions.count(),
    (partition, stop) =>
      patiently(`aggregate ${partition}`, stop, (succeeded) =>
        aggregatePartition(log, partition, stop, succeeded),
      ),
  )
}

/** Aggregates one partition until `signal`, from where the output of all before it ends. */
async function aggregatePartition(
  log: Log,
  partition: number,
  signal: AbortSignal,
  succeeded: () => void,
): Promise<void> {
  const worker = await AggregateWorker.start(log, partition)
  while (!signal.aborted) {
    await worker.step(signal)
    succeeded()
  }
}
