/**
 * Lines of the lifelike app in the platform's own words, each with what it says: the truth is told
 * by who wrote the line, not by reading it. Wordings from captures of real drains.
 */

/** What the ledger is to call a message. */
export type Verdict = 'kept' | 'ignoredOutput' | 'ignoredUnknown'

/** A single value, under the name and in the base unit in which it is to be found in SQL. */
export interface DemoPoint {
  kind: 'gauge' | 'counter' | 'measure'
  process: string
  name: string
  /** What tells several of one kind apart; empty for most. */
  source: string
  value: number
}

/** A request as the router tells of it; what is undefined stands empty in the line. */
export interface DemoRequest {
  /** The process type, as it is to be found in SQL. */
  process: string
  serviceMs?: number
  connectMs?: number
  status: number
  bytes?: number
  code?: string
}

/** Messages that never came, by who says so. */
export interface DemoLoss {
  code: 'L10' | 'L12'
  messages: number
}

export interface DemoLine {
  priority: number
  source: 'app' | 'heroku'
  /** The third name of the message: a dyno, `router`, `api`, an add-on. */
  process: string
  text: string
  /** Whether a newline ends it: with the line that Logplex itself puts in, none does. */
  newline: boolean
  verdict: Verdict
  request?: DemoRequest
  points: readonly DemoPoint[]
  /** Values in it that nobody can read. */
  unreadable?: number
  loss?: DemoLoss
}

export interface DemoMessage {
  /** Unix ms. */
  timeMs: number
  /** `<158>1 2026-… host heroku router - …`, without an octet count. */
  text: string
  line: DemoLine
}

/** Priorities as drains were seen to carry them. Nobody is to rely on them. */
export const PRIORITY = { router: 158, dyno: 45, api: 45, output: 190, addon: 134, loss: 172 }

/** `2022-06-13T14:52:23.622778+00:00`; the last three digits follow from the others. */
export function stampOf(timeMs: number): string {
  const micros = String((timeMs * 7919) % 1000).padStart(3, '0')
  return `${new Date(timeMs).toISOString().slice(0, 23)}${micros}+00:00`
}

const secondsOf = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19)}+00:00`

/** The message of a line at a time, Unix ms. */
export function messageOf(line: DemoLine, timeMs: number): DemoMessage {
  const { priority, source, process, text, newline } = line
  // Logplex writes its own line's time in whole seconds, and so do builds.
  const stamp = line.loss?.code === 'L10' ? secondsOf(timeMs) : stampOf(timeMs)
  const head = `<${priority}>1 ${stamp} host ${source} ${process} - `
  return { timeMs, text: `${head}${text}${newline ? '\n' : ''}`, line }
}

/** `web` of `web.1`. */
export const typeOf = (dyno: string): string => dyno.slice(0, dyno.lastIndexOf('.'))

/** The platform about a dyno. */
export function dynoLine(dyno: string, text: string, points: DemoPoint[] = []): DemoLine {
  const line = { source: 'heroku', process: dyno, text, newline: true, verdict: 'kept' } as const
  return { ...line, priority: PRIORITY.dyno, points }
}

/** What the platform says of a dyno in words that stand for no figure and no marker. */
export function strangeLine(dyno: string, text: string): DemoLine {
  return { ...dynoLine(dyno, text), verdict: 'ignoredUnknown' }
}

const counter = (dyno: string, name: string): DemoPoint => ({
  kind: 'counter',
  process: typeOf(dyno),
  name,
  source: '',
  value: 1,
})

const DYNO_ERRORS = { R14: 'Memory quota exceeded', R15: 'Memory quota vastly exceeded' } as const

export function dynoErrorLine(dyno: string, code: keyof typeof DYNO_ERRORS): DemoLine {
  return dynoLine(dyno, `Error ${code} (${DYNO_ERRORS[code]})`, [counter(dyno, code)])
}

export function exitLine(dyno: string, status: number): DemoLine {
  return dynoLine(dyno, `Process exited with status ${status}`, [counter(dyno, `exit.${status}`)])
}

/** `from` and `to`: created, provisioning, starting, up, down, crashed, complete. */
export function stateLine(dyno: string, from: string, to: string): DemoLine {
  return dynoLine(dyno, `State changed from ${from} to ${to}`)
}

/** A line of the API; builds have none who did it. */
export function apiLine(text: string, email?: string): DemoLine {
  const by = email === undefined ? '' : ` by user ${email}`
  return {
    priority: PRIORITY.api,
    source: 'app',
    process: 'api',
    text: text + by,
    newline: true,
    verdict: 'kept',
    points: [],
  }
}

/** What an app prints, or a server of its database. */
export function outputLine(process: string, text: string, points: DemoPoint[] = []): DemoLine {
  const verdict = points.length > 0 ? 'kept' : 'ignoredOutput'
  const line = { source: 'app', process, text, newline: true, verdict } as const
  return { ...line, priority: PRIORITY.output, points }
}

/** Logplex (L10) and log-shuttle (L12) tell what they dropped since `sinceMs`. */
export function lossLine(loss: DemoLoss, sinceMs: number): DemoLine {
  const { code, messages } = loss
  const points = [{ kind: 'counter', process: '', name: code, source: '', value: 1 }] as const
  const line = { priority: PRIORITY.loss, verdict: 'kept', points, loss } as const
  const dropped = `${messages} messages dropped since`
  return code === 'L10'
    ? {
        ...line,
        source: 'heroku',
        process: 'logplex',
        text: `Error L10 (output buffer overflow): ${dropped} ${secondsOf(sinceMs)}.`,
        newline: false,
      }
    : {
        ...line,
        source: 'app',
        process: 'log-shuttle',
        text: `Error L12: ${dropped} ${stampOf(sinceMs)}`,
        newline: true,
      }
}
