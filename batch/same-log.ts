/** Whether a raw log is the one that a place in it was taken from. */
import type { Log } from '../broker/log.ts'
import { RAW } from './topics.ts'

/**
 * The record before the place must have the time that was noted with the place. In a log that was
 * replaced or recreated it is another one, or is not there: to go on from the place would pass over
 * what that log holds, silently.
 * @param place raw offset; all before it was taken
 * @param watermarkMs log time of the last record before it, Unix ms
 * @throws Error that says what to do
 */
export async function refuseAnotherLog(
  log: Log,
  partition: number,
  place: number,
  watermarkMs: number,
): Promise<void> {
  const latest = await log.offsetAt(RAW, partition, 'latest')
  if (latest >= place) {
    const earliest = await log.offsetAt(RAW, partition, 'earliest')
    if (place - 1 < earliest) return
    const [last] = await log.read(RAW, partition, place - 1)
    // Offsets that a native Kafka skips: then the record read lies behind the place.
    if (last === undefined || last.offset >= place || last.timestamp === watermarkMs) return
  }
  throw new Error(
    `partition ${partition} of ${RAW} is not the log that was read up to offset ${place}. ` +
      'Point SHELF_LOG at the right one; or take this one from its start: ' +
      'delete from shelf.progress',
  )
}
