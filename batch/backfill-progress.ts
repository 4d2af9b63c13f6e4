/** How far a backfill is: a bar on a terminal, else a line now and then. To stderr. */

const DRAW_MS = 200
const SAY_MS = 10_000
const BAR_CHARS = 12

/** Of a terminal that does not tell. */
const COLUMNS = 80
/** To the start of the line, which is emptied. */
const CLEAR = '\r\u001b[K'

export interface Phase {
  /** What is done: `scan`. */
  name: string
  /** What is counted: `records`. */
  unit: Unit
}

type Unit = 'records' | 'slices'

/** What is needed of stderr; columns and isTTY are those of a terminal. */
interface Output {
  write(text: string): unknown
  columns?: number
  isTTY?: boolean
}

export class Progress {
  private phase: Phase = { name: '', unit: 'records' }
  private total = 0
  private done = 0
  private requests = 0
  private startedMs = 0
  private shownMs = 0
  private isDrawn = false

  /** @param now ms, of a clock that nobody sets */
  constructor(
    private readonly output: Output = process.stderr,
    private readonly now = () => performance.now(),
  ) {}

  /** Begins with a part of the work, of so many things. */
  start(phase: Phase, total: number): void {
    this.phase = phase
    this.total = total
    this.done = 0
    this.requests = 0
    this.startedMs = this.now()
    this.shownMs = this.startedMs
  }

  /**
   * So many more are done; of raw records, so many requests in the range were in them. What is not
   * of this part of the work, such as records that come while slices are replaced, is not counted.
   */
  add(unit: Unit, done: number, requests = 0): void {
    if (unit !== this.phase.unit) return
    this.done += done
    this.requests += requests
    const nowMs = this.now()
    if (nowMs - this.shownMs < (this.output.isTTY ? DRAW_MS : SAY_MS)) return
    this.shownMs = nowMs
    if (this.output.isTTY) this.draw(`${this.bar()} ${this.words(nowMs)}`)
    else this.say(`backfill: ${this.words(nowMs)}`)
  }

  /** Says a line, and leaves the bar out of it. */
  say(text: string): void {
    this.end()
    this.output.write(`${text}\n`)
  }

  /** Takes the bar away. */
  end(): void {
    if (this.isDrawn) this.output.write(CLEAR)
    this.isDrawn = false
  }

  /** A line that is wrapped could not be cleared: it is cut. */
  private draw(line: string): void {
    this.isDrawn = true
    this.output.write(CLEAR + line.slice(0, (this.output.columns || COLUMNS) - 1))
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
