/** Appends of any number of records, in their order. */
import type { Log, NewRecord } from '../broker/log.ts'

/** Together well under the bound of a request to the broker, 16 MiB: a character has 3 bytes at most. */
const RECORDS_MAX = 1000
const CHARS_MAX = 4_000_000

/** One behind the other, as many at a time as a request holds. Who fails has written the first ones. */
export async function appendAll(
  log: Pick<Log, 'append'>,
  topic: string,
  records: readonly NewRecord[],
): Promise<void> {
  let batch: NewRecord[] = []
  let chars = 0
  for (const record of records) {
    if (batch.length === RECORDS_MAX || (chars > 0 && chars + record.value.length > CHARS_MAX)) {
      await log.append(topic, batch)
      batch = []
      chars = 0
    }
    batch.push(record)
    chars += record.value.length
  }
  if (batch.length > 0) await log.append(topic, batch)
}
