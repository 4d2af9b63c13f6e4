/** How far a backfill is: a bar on a terminal, else a line now and then. To stderr. */
import { say } from './program.ts'

const DRAW_MS = 200
const SAY_MS = 10_000
const BAR_CHARS = 24

export interface Phase {
  /** What is done: `scan`. */
  name: string
  /** What is counted: `records`. */
  unit: string
}

export class Progress {
  private phase: Phase = { name: '', unit: '' }
  private total = 0
  private done = 0
  private requests = 0
  private startedMs = 0
  private shownMs = 0
  private isDrawn = false

  constructor(private readonly isTerminal = process.stderr.isTTY === true) {}

  /** Begins with a part of the work, of so many things. */
  start(phase: Phase, total: number): void {
    this.phase = phase
    this.total = total
    this.done = 0
    this.requests = 0
    this.startedMs = performance.now()
    this.shownMs = this.startedMs
  }

  /** So many more are done; of raw records, so many requests in the range were in them. */
  add(done: number, requests = 0): void {
    this.done += done
    this.requests += requests
    const nowMs = performance.now()
    if (nowMs - this.shownMs < (this.isTerminal ? DRAW_MS : SAY_MS)) return
    this.shownMs = nowMs
    this.isDrawn = this.isTerminal
    if (!this.isTerminal) say(`backfill: ${this.words(nowMs)}`)
    else process.stderr.write(`\r\u001b[K${this.bar()} ${this.words(nowMs)}`)
  }

  /** Says a line, and leaves the bar out of it. */
  say(text: string): void {
    if (this.isDrawn) process.stderr.write('\r\u001b[K')
    this.isDrawn = false
    say(text)
  }

  private get share(): number {
    return this.total === 0 ? 1 : Math.min(1, this.done / this.total)
  }

  private bar(): string {
    const full = Math.round(this.share * BAR_CHARS)
    return `[${'#'.repeat(full)}${'.'.repeat(BAR_CHARS - full)}]`
  }

  private words(nowMs: number): string {
    const { phase, share, requests } = this
    const seconds = Math.max((nowMs - this.startedMs) / 1000, 0.001)
    const rate = (count: number): string => Math.round(count / seconds).toLocaleString('en')
    const left = share === 0 ? '' : `, ${durationOf(seconds / share - seconds)} left`
    const many = requests > 0 ? `, ${rate(requests)} requests/s` : ''
    const percent = Math.floor(share * 100)
    return `${phase.name} ${percent} %, ${rate(this.done)} ${phase.unit}/s${many}${left}`
  }
}

/** `9 s`, `12 min`, `3.5 h` */
function durationOf(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  if (seconds < 6000) return `${Math.ceil(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
