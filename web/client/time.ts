/** Times as the person wants them, of this place or UTC. */
const YEAR_SECONDS = 31_536_000
/** Nobody wants the clock of a range longer than this. */
const DAYS_ONLY_SECONDS = 14 * 86_400

let isUtc = false

export function useUtc(utc: boolean): void {
  isUtc = utc
}

export const zone = (): string | undefined => (isUtc ? 'UTC' : undefined)

const formatters = new Map<string, Intl.DateTimeFormat>()

function format(seconds: number, options: Intl.DateTimeFormatOptions): string {
  const key = JSON.stringify([options, isUtc])
  const known = formatters.get(key)
  const timeZone = zone()
  const formatter =
    known ??
    new Intl.DateTimeFormat('en-GB', {
      ...options,
      ...(timeZone === undefined ? {} : { timeZone }),
    })
  formatters.set(key, formatter)
  return formatter.format(seconds * 1000)
}

export const clock = (seconds: number): string =>
  format(seconds, { hour: '2-digit', minute: '2-digit' })

export const dateOf = (seconds: number): string =>
  format(seconds, { weekday: 'short', day: 'numeric', month: 'short' })

/** `Mon, 23 Nov 14:02` */
export const moment = (seconds: number): string => `${dateOf(seconds)} ${clock(seconds)}`

/** With the year where it is long ago. */
const day = (seconds: number): string =>
  Math.abs(Date.now() / 1000 - seconds) < YEAR_SECONDS / 2
    ? dateOf(seconds)
    : format(seconds, { day: 'numeric', month: 'short', year: 'numeric' })

/** `Mon, 23 Nov 14:02–14:05`; of many days only the days. */
export function between(since: number, until: number): string {
  if (until - since >= DAYS_ONLY_SECONDS || (isMidnight(since) && isMidnight(until))) {
    const [first, last] = [day(since), day(until - 1)]
    return first === last ? first : `${first} – ${last}`
  }
  return dateOf(since) === dateOf(until)
    ? `${moment(since)}–${clock(until)}`
    : `${moment(since)} – ${moment(until)}`
}

const isMidnight = (seconds: number): boolean => clock(seconds) === '00:00'

/** For the axis: days where a day begins, else the clock. */
export function tick(seconds: number, spanSeconds: number): string {
  const text = clock(seconds)
  if (spanSeconds > 40 * 86_400) return format(seconds, { day: 'numeric', month: 'short' })
  if (text === '00:00' || spanSeconds > 4 * 86_400) {
    return text === '00:00' ? format(seconds, { weekday: 'short', day: 'numeric' }) : text
  }
  return text
}
