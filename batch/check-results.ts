/** Records of check-results, as they are read. */
import { z } from 'zod'
import type { LogRecord } from '../broker/log.ts'
import { CHECK_RESULT_VERSION, type CheckRecord, checkRecordSchema } from '../core/check-result.ts'
import { CHECK_RESULTS, textOf } from './topics.ts'

/**
 * What a record holds; undefined where it is none.
 * @throws Error for a record of a newer Shelf: to pass over it could lose an alert
 */
export function parseCheckRecord(record: LogRecord): CheckRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(textOf(record.value))
  } catch {
    return undefined
  }
  const version = z.object({ version: z.int() }).safeParse(json).data?.version ?? 0
  if (version > CHECK_RESULT_VERSION) {
    throw new Error(
      `offset ${record.offset} of ${CHECK_RESULTS} was written by a newer Shelf (version ${version}): ` +
        'update this one',
    )
  }
  return checkRecordSchema.safeParse(json).data
}
