/** Points in time as people give them to `--since` and `--until`. */
import { UsageError } from './program.ts'

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `now`, an age (`90s`, `15m`, `2h`, `7d`), or a date and time (UTC where it names no zone), as
 * Unix ms.
 * @throws UsageError
 */
export function parseTime(text: string, nowMs = Date.now()): number {
  if (text === 'now') return nowMs
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (amount !== undefined) return nowMs - Number(amount) * (UNIT_MS[unit] ?? 0)
  const zoned = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$/.test(text)
    ? `${text.replace(' ', 'T')}${text.length > 10 ? 'Z' : ''}`
    : text
  const timeMs = Date.parse(zoned)
  if (!/^\d{4}-/.test(text) || Number.isNaN(timeMs)) {
    throw new UsageError(`${text} is no time: now, an age such as 15m, or 2026-11-23T03:00`)
  }
  return timeMs
}
