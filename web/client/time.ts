/** Times as the person wants them, of this place or UTC. */
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

/** `Mon, 23 Nov 14:02–14:05`; of whole days only the days. */
export function between(since: number, until: number): string {
  if (until - since >= 86_400) return `${dateOf(since)} – ${dateOf(until - 1)}`
  const end = dateOf(since) === dateOf(until) ? clock(until) : moment(until)
  return `${moment(since)}–${end}`
}

/** For the axis: days where a day begins, else the clock. */
export function tick(seconds: number, spanSeconds: number): string {
  const text = clock(seconds)
  if (spanSeconds > 40 * 86_400) return format(seconds, { day: 'numeric', month: 'short' })
  if (text === '00:00' || spanSeconds > 4 * 86_400) {
    return text === '00:00' ? format(seconds, { weekday: 'short', day: 'numeric' }) : text
  }
  return text
}
