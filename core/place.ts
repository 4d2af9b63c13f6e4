/** Places in aggregates of who reads it: what of a partition is taken, and what a record adds. */
import type { AggregateRecord } from './aggregate-record.ts'

/** Of raw log `epoch`: all offsets before `from`, and parts before `part` of the chunk there. */
export interface Place {
  epoch: number
  from: number
  part: number
}

type Aggregate = Pick<AggregateRecord, 'epoch' | 'begin' | 'from' | 'to' | 'part' | 'parts'>

export function placeBehind({ epoch, from, to, part, parts }: Aggregate): Place {
  return part + 1 === parts ? { epoch, from: to, part: 0 } : { epoch, from, part: part + 1 }
}

/** Whether what the record holds was taken already. */
export function isBefore(record: Aggregate, place: Place): boolean {
  if (record.epoch !== place.epoch) return record.epoch < place.epoch
  if (record.from !== place.from) return record.from < place.from
  return record.part < place.part
}

/** The records that are not before `place`, each once. */
export function behind<R extends Aggregate>(records: readonly R[], start: Place): R[] {
  let place = start
  return records.filter((record) => {
    if (isBefore(record, place)) return false
    place = placeBehind(record)
    return true
  })
}

/**
 * How many raw records lie between the place and a record behind it. Chunks join without holes: what
 * lies there was deleted before we read it.
 */
export function missingBefore(record: Aggregate, place: Place): number {
  const due = record.epoch > place.epoch ? record.begin : place.from
  return Math.max(0, record.from - due)
}
