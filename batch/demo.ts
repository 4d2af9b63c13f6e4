/** `shelf demo`: a lifelike app that sends drains, to see Shelf at work without an app of one's own. */
import type { DemoMarker } from './demo-app.ts'
import { type DemoDay, type DemoOptions, demoDay, demoDays } from './demo-day.ts'
import { type Sent, sendAll, sendLive } from './demo-send.ts'
import { runningDrainUrl } from './drains.ts'
import { type Program, say, UsageError } from './program.ts'

/** All that happens in a day happens in this time when it runs live; the first within a minute. */
const LIVE_DAY_MS = 20 * 60_000

const DAY_MS = 24 * 3_600_000

/** Requests a second. Beyond it one process can't keep up: each is written, framed and posted. */
const RATE_MAX = 1000

/** How often a line tells how it goes. */
const STATUS_MS = 10_000

export const demo: Program = {
  usage: 'demo',
  summary: 'Sends the log of a lifelike app, until it is stopped: Ctrl-C.',
  details: `
Requests that come and go, dynos with their memory and load, add-ons, metrics of the app's own, and
trouble: a deploy after a minute, then a storm of H12, a worker that outgrows its memory (R14, R15),
a config change, scaling, lost messages, a crash, a maintenance. After 20 minutes it begins again.

  shelf demo                                    to the app demo of the stack that runs here
  shelf demo --rate 100 --seed 7                busier, and otherwise in its details
  shelf demo --day --rate 5                     the 24 hours that end now, as fast as they are taken
  shelf demo --drain "$(shelf drain add shop)"  to an app of its own

A day sent twice counts twice: its minutes end now, so they are others each time.`,
  options: {
    rate: { type: 'string', value: 'N', help: 'requests a second on average (default: 20)' },
    seed: { type: 'string', value: 'N', help: 'a whole number: another makes another app' },
    drain: { type: 'string', value: 'URL', help: "the drain (default: the stack's, for app demo)" },
    day: { type: 'boolean', help: 'send the past day at once, and end' },
    'dry-run': { type: 'boolean', help: 'say what would be sent, send nothing' },
  },
  async run({ text, flags }, signal) {
    const rate = numberOf('rate', text.rate ?? '20')
    if (!(rate > 0 && rate <= RATE_MAX)) {
      throw new UsageError(`--rate takes a number above 0, up to ${RATE_MAX}, not ${text.rate}`)
    }
    const seed = numberOf('seed', text.seed ?? '1')
    if (!Number.isSafeInteger(seed)) {
      throw new UsageError(`--seed takes a whole number, not ${text.seed}`)
    }
    const nowMs = Date.now()
    // A past day has its nights where they were, in UTC; live, the next night is minutes away.
    const options: DemoOptions = flags.day
      ? { seed, rate, startMs: nowMs - DAY_MS, dayMs: DAY_MS, dayPart: (nowMs % DAY_MS) / DAY_MS }
      : { seed, rate, startMs: nowMs, dayMs: LIVE_DAY_MS, dayPart: 0.4 }
    if (flags['dry-run']) {
      tellDay(demoDay(options), options)
      return
    }
    const drainUrl = text.drain ?? (await runningDrainUrl(process.env))
    if (flags.day) await sendDay(drainUrl, options, signal)
    else await runLive(drainUrl, options, signal)
  },
}

function numberOf(name: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(value)) return value
  throw new UsageError(`--${name} takes a number, not ${text}`)
}

async function runLive(drainUrl: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  say(`demo: sending about ${options.rate} requests a second; Ctrl-C ends it`)
  let toldMs = Date.now()
  const sent = await sendLive(drainUrl, demoDays(options), signal, {
    onProgress(sent) {
      if (Date.now() < toldMs + STATUS_MS) return
      toldMs = Date.now()
      const news = sent.news.splice(0).filter(({ kind }) => kind !== 'boot')
      say(`demo: ${[countsOf(sent), ...news.map(wordsOf)].join('; ')}`)
    },
  })
  say(`demo: ${countsOf(sent)}`)
}

async function sendDay(drainUrl: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  const onProgress = process.stderr.isTTY ? progressBar(options) : () => {}
  const sent = await sendAll(drainUrl, demoDay(options), signal, { onProgress })
  if (process.stderr.isTTY) process.stderr.write('\n')
  say(`demo: ${countsOf(sent)}`)
  if (sent.dropped > 0) throw new Error('the drain did not take all in 3 tries')
  if (signal.aborted) throw new Error('interrupted before all was sent')
}

function countsOf({ messages, requests, dropped }: Sent): string {
  const lost = dropped === 0 ? '' : `, ${dropped} dropped: the drain did not take them`
  return `sent ${messages} lines in ${requests} requests${lost}`
}

/** `crash web`, `scale web 5 Performance-M` */
function wordsOf({ kind, process, words }: DemoMarker): string {
  return [kind, process, ...words].filter((word) => word !== '').join(' ')
}

/** What a day holds, counted by making it. */
function tellDay(day: DemoDay, { startMs, dayMs }: DemoOptions): void {
  let lines = 0
  let requests = 0
  for (const { line } of day.messages) {
    lines += 1
    requests += line.request === undefined ? 0 : 1
  }
  const minutes = dayMs / 60_000
  say(`would send ${lines} lines in ${minutes} minutes, of them ${requests} requests; and`)
  for (const marker of day.markers) {
    const second = Math.floor((marker.timeMs - startMs) / 1000)
    const [hour, minute] = [Math.floor(second / 3600), Math.floor(second / 60) % 60]
    const clock = [hour, minute, second % 60].map((part) => String(part).padStart(2, '0'))
    say(`  ${clock.join(':')}  ${wordsOf(marker)}`)
  }
}

/** `[#####     ] 17%, 5000 lines`, over itself. */
function progressBar({ startMs, dayMs }: DemoOptions): (sent: Sent, timeMs: number) => void {
  const width = 30
  return ({ messages }, timeMs) => {
    const part = Math.min(1, Math.max(0, (timeMs - startMs) / dayMs))
    const bar = '#'.repeat(Math.round(part * width)).padEnd(width)
    process.stderr.write(`\r[${bar}] ${Math.floor(part * 100)}%, ${messages} lines `)
  }
}
