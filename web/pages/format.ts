/** Numbers as people read them. The same on pages that the server makes and in the browser. */

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** Three digits, at least: 0.123, 1.23, 12.3, 123, 1,234. */
export function short(value: number): string {
  const size = Math.abs(value)
  if (size >= 100 || value === 0) return GROUPED.format(value)
  const digits = size >= 10 ? 1 : size >= 1 ? 2 : 3
  return String(Number(value.toFixed(digits)))
}

/** 1234 → 1,234; from 100,000 on 123 k, 1.23 M. */
export function count(value: number): string {
  if (Math.abs(value) >= 1e9) return `${short(value / 1e9)} G`
  if (Math.abs(value) >= 1e6) return `${short(value / 1e6)} M`
  if (Math.abs(value) >= 1e5) return `${short(value / 1e3)} k`
  return Number.isInteger(value) ? GROUPED.format(value) : short(value)
}

/** Of milliseconds; seconds from 1000 on. */
export function ms(value: number): string {
  return value >= 1000 ? `${short(value / 1000)} s` : `${short(value)} ms`
}

/** 0.0123 → 1.23 %. What is not all is never shown as 100 %, what is not nothing never as 0. */
export function percent(share: number): string {
  const text = Number((share * 100).toFixed(share > 0.999 || share < 0.01 ? 3 : 2))
  if (text === 100 && share < 1) return '> 99.999 %'
  if (text === 0 && share > 0) return '< 0.001 %'
  return `${text} %`
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** Powers of 1024, as Heroku's MB are. */
export function bytes(value: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10))
  return `${short(value / 1024 ** power)} ${UNITS[power]}`
}

/** `1 min`, `6 h`, `7 d`: of a step, whole seconds, in the greatest unit that it is whole in. */
export function length(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`
  if (seconds % 3600 === 0) return `${seconds / 3600} h`
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`
}

/** `12 s`, `3 min`, `5 h`, `2 d`: of seconds. */
export function age(seconds: number): string {
  const s = Math.max(0, seconds)
  if (s < 90) return `${Math.round(s)} s`
  if (s < 90 * 60) return `${Math.round(s / 60)} min`
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`
  return `${Math.round(s / 86_400)} d`
}
