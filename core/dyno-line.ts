/**
 * Heroku's lines about a dyno (`heroku web.1 - …`): its state, its restarts, its errors, its end.
 * https://devcenter.heroku.com/articles/error-codes, and captures of real drains.
 */
import type { MarkerKind } from './marker.ts'
import { parseQuantity } from './units.ts'

/** What one line says. A line may be a marker, a counter, a gauge, or known and without a figure. */
export interface DynoLine {
  marker?: { kind: MarkerKind; text: string }
  /** A counter that goes up by one: `R14`, `exit.137`. */
  counter?: string
  gauge?: { name: string; value: number }
}

/** Lines that are told apart, the most specific first. */
const LINES: readonly [RegExp, (match: RegExpExecArray) => DynoLine][] = [
  [/^Error (R\d{1,3})\b/, ([, code = '']) => ({ counter: code })],
  // R14's companion: `mem=836M(163.4%)`; the documentation writes MB.
  [
    /^Process running mem=(\d[\d.]*[KMGkmg]?[Bb]?)\(/,
    ([, text = '']) => {
      const value = parseQuantity(text)
      return value === undefined ? {} : { gauge: { name: 'memory_running', value } }
    },
  ],
  [/^Process exited with status (\d{1,3})\b/, ([, status = '']) => ({ counter: `exit.${status}` })],
  [/^Process exited\b/, () => ({})],
  [/^Cycling\b/, () => ({ marker: { kind: 'restart', text: 'cycling' } })],
  [/^Restarting\b/, () => ({ marker: { kind: 'restart', text: 'restarting' } })],
  [/^Idling\b/, () => ({ marker: { kind: 'idle', text: '' } })],
  [/^Unidling\b/, () => ({ marker: { kind: 'unidle', text: '' } })],
  [
    /^State changed from (\w{1,20}) to (\w{1,20})\b/,
    ([, before = '', after = '']) => {
      if (after === 'crashed') return { marker: { kind: 'crash', text: '' } }
      if (before === 'up' && after === 'starting') {
        return { marker: { kind: 'restart', text: 'restarting' } }
      }
      return before === 'starting' && after === 'up' ? { marker: { kind: 'boot', text: '' } } : {}
    },
  ],
  // The command may hold secrets: that it starts is all we take, and that the state tells too.
  [/^Starting process with command\b/, () => ({})],
  [/^Stopping (?:all|remaining)? ?process(?:es)? with SIG[A-Z]{3,5}\b/, () => ({})],
]

/** Reads a line's text; undefined for one that is not known. */
export function parseDynoLine(text: string): DynoLine | undefined {
  for (const [pattern, read] of LINES) {
    const match = pattern.exec(text)
    if (match !== null) return read(match)
  }
  return undefined
}

/** `web` of `web.1`, of Fir's `web-5d8f5f9b8-abcde`, and of `web`. */
export function processOf(dyno: string): string {
  const dot = dyno.lastIndexOf('.')
  if (dot > 0) return dyno.slice(0, dot)
  return /^(.+)-[a-z0-9]{1,20}-[a-z0-9]{1,20}$/.exec(dyno)?.[1] ?? dyno
}
