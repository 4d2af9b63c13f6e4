/** Whether a raw log is the one that a place in it was taken from. */
import type { RawLog } from './raw-source.ts'
import { RAW } from './topics.ts'

/**
 * The record before the place must have the time that was noted with the place. In a log that was
 * recreated, or cut off at its end, it is another one, or is not there. Where retention took it,
 * nobody can tell, and the log is believed.
 * @param place raw offset; all before it was taken
 * @param watermarkMs log time of the last record before it, Unix ms
 */
export async function isSameLog(
  log: RawLog,
  partition: number,
  place: number,
  watermarkMs: number,
): Promise<boolean> {
  const offsetsAt = (times: ('earliest' | 'latest' | number)[]): Promise<number[]> =>
    Promise.all(times.map((at) => log.offsetAt(RAW, partition, at)))
  // Cheap, and mostly the answer: records of just that time end behind the one before the place.
  const [first = 0, behind = 0] = await offsetsAt([watermarkMs, watermarkMs + 1])
  if (first < place && place <= behind) return true
  const [earliest = 0, latest = 0] = await offsetsAt(['earliest', 'latest'])
  if (latest < place) return false
  if (place - 1 < earliest) return true
  const [last] = await log.read(RAW, partition, place - 1, { recordsMax: 1 })
  // Offsets that a native Kafka skips: then the record read lies behind the place.
  return last === undefined || last.offset >= place || last.timestamp === watermarkMs
}
