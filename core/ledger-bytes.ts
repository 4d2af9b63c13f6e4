/** The ledger as bytes of a burst. */
import type { ByteReader, ByteWriter } from './bytes.ts'
import { LEDGER_COUNTS, type Ledger, type LedgerCounts, MINUTE_MS, minuteOf } from './ledger.ts'
import { TIME_MS_MAX } from './time.ts'

/** Minutes relative to the one of receipt; of each row the counts that are not 0. */
export function writeLedger(writer: ByteWriter, ledger: Ledger, minuteMs: number): void {
  writer.varint(ledger.size)
  for (const [rowMinuteMs, counts] of ledger) {
    checkMinute(rowMinuteMs)
    writer.signed((rowMinuteMs - minuteMs) / MINUTE_MS)
    let present = 0
    const values: number[] = []
    LEDGER_COUNTS.forEach((what, i) => {
      const by = counts[what]
      if (!by) return
      present += 2 ** i
      values.push(by)
    })
    writer.varint(present)
    for (const by of values) writer.varint(by)
  }
}

export function readLedger(reader: ByteReader, minuteMs: number): Ledger {
  const ledger: Ledger = new Map()
  for (let left = reader.varint(); left > 0; left--) {
    const rowMinuteMs = minuteMs + reader.signed() * MINUTE_MS
    checkMinute(rowMinuteMs)
    const present = reader.varint()
    if (present >= 2 ** LEDGER_COUNTS.length) {
      throw new RangeError('a ledger count that is not known here')
    }
    const counts: LedgerCounts = {}
    for (let i = 0; present >> i !== 0; i++) {
      const what = LEDGER_COUNTS[i]
      if ((present >> i) % 2 === 1 && what !== undefined) counts[what] = reader.varint()
    }
    ledger.set(rowMinuteMs, counts)
  }
  return ledger
}

function checkMinute(timeMs: number): void {
  const isMinute = timeMs >= 0 && timeMs <= TIME_MS_MAX && minuteOf(timeMs) === timeMs
  if (!isMinute) throw new RangeError(`a ledger row of ${timeMs}`)
}
