/**
 * The lifelike app while it runs: its clock, its dynos, what it has said, and what was lost of it on
 * the way. What happens to it in a day is in demo-events.ts.
 */
import { COMMANDS, type Dyno, type DynoType, newDyno } from './demo-dyno.ts'
import {
  type DemoLine,
  type DemoLoss,
  type DemoMessage,
  dynoLine,
  exitLine,
  lossLine,
  messageOf,
  stateLine,
} from './demo-line.ts'
import { makePeople, type People } from './demo-people.ts'
import { type Random, seededRandom } from './demo-random.ts'
import { Schedule } from './demo-schedule.ts'

/** How long dynos take to start, ms. A web dyno has 60 s before it is killed (R10). */
const BOOT_MS = [4000, 9000] as const

/** What dynos of a type do within this time is one marker. */
const JOINED_MS = 60_000

/** What is to be in `shelf.markers`, by what was done, not by the lines that tell of it. */
export interface DemoMarker {
  kind: 'build' | 'deploy' | 'config' | 'scale' | 'restart' | 'crash' | 'boot' | 'maintenance'
  /** Unix ms. */
  timeMs: number
  /** Empty where it is about the app as a whole. */
  process: string
  /** What is to be found in the marker's text or detail: a commit, names of variables, a number. */
  words: readonly string[]
  /** The e-mail of who did it: to be found as a hash, the same for the same person. */
  email?: string
}

interface Loss {
  code: DemoLoss['code']
  sinceMs: number
  messages: number
}

export class DemoApp {
  readonly random: Random
  readonly people: People
  readonly dynos = new Map<string, Dyno>()
  readonly markers: DemoMarker[] = []
  /** Unix ms. */
  nowMs: number
  release = 41
  isMaintained = false
  /** Called when a dyno is ready. */
  onUp: (dyno: Dyno) => void = () => {}
  /** The share of requests that time out, 0 to 1. */
  stuckShare = 0
  private readonly schedule = new Schedule()
  private readonly said: DemoMessage[] = []
  private loss: Loss | undefined

  /** `lossless`: what is lost is sent all the same, for comparing. */
  constructor(
    seed: number,
    startMs: number,
    private readonly lossless = false,
  ) {
    this.random = seededRandom(seed)
    this.people = makePeople(this.random)
    this.nowMs = startMs
  }

  after(ms: number, run: () => void): void {
    this.schedule.add(this.nowMs + Math.round(ms), run)
  }

  /** Runs `run` now and whenever `gapMs` has passed again, until it returns false. */
  repeat(gapMs: () => number, run: () => boolean): void {
    if (run()) this.after(gapMs(), () => this.repeat(gapMs, run))
  }

  /** What it says until `endMs`, in order. Where that is infinite, so is this. */
  *messages(endMs: number): Generator<DemoMessage> {
    for (;;) {
      const task = this.schedule.takeBefore(endMs)
      if (task === undefined) return
      this.nowMs = task.timeMs
      task.run()
      yield* this.said
      this.said.length = 0
    }
  }

  /** Says it now. @returns whether it is on its way: it may be lost */
  say(line: DemoLine): boolean {
    const { loss } = this
    // log-shuttle carries what dynos print; Logplex carries everything.
    const isLost = loss !== undefined && (loss.code === 'L10' || isOutput(line))
    if (isLost) loss.messages += 1
    if (!isLost || this.lossless) this.said.push(messageOf(line, this.nowMs))
    return !isLost
  }

  /** From now on messages are lost, for `ms`; then a line says how many. */
  lose(code: DemoLoss['code'], ms: number): void {
    const loss = { code, sinceMs: this.nowMs, messages: 0 }
    this.loss = loss
    this.after(ms, () => {
      this.loss = undefined
      if (loss.messages > 0) this.say(lossLine({ code, messages: loss.messages }, loss.sinceMs))
    })
  }

  /** Something happened now that is to be a marker. */
  mark(marker: Omit<DemoMarker, 'timeMs'>): void {
    this.markers.push({ ...marker, timeMs: this.nowMs })
  }

  dynosOf(type: DynoType): Dyno[] {
    return [...this.dynos.values()].filter((dyno) => dyno.type === type)
  }

  /** A dyno that has been there for long. */
  place(type: DynoType, number: number, ageMs: number): void {
    const dyno = newDyno(type, number, this.random, this.nowMs - ageMs, 0)
    this.dynos.set(dyno.name, dyno)
    dyno.state = 'up'
    this.onUp(dyno)
  }

  /** A dyno starts in a place that is free, or in that of one that ended. */
  boot(type: DynoType, number: number): Dyno {
    const { random } = this
    const bootMs = Math.round(random.between(...BOOT_MS))
    const dyno = newDyno(type, number, random, this.nowMs, bootMs)
    this.dynos.set(dyno.name, dyno)
    const secret = type === 'worker' ? ` ${this.people.commandSecret}` : ''
    this.after(1500, () => {
      this.say(dynoLine(dyno.name, `Starting process with command \`${COMMANDS[type]}${secret}\``))
    })
    this.after(bootMs, () => {
      if (!this.isRunning(dyno)) return
      dyno.state = 'up'
      if (this.say(stateLine(dyno.name, 'starting', 'up'))) this.markBoot(type)
      this.onUp(dyno)
    })
    return dyno
  }

  /** Stops a dyno, and starts it anew. `onBoot` is told of the new one. */
  restart(dyno: Dyno, word: 'Restarting' | 'Cycling', onBoot?: (dyno: Dyno) => void): void {
    dyno.state = 'starting'
    this.say(dynoLine(dyno.name, word))
    this.say(stateLine(dyno.name, 'up', 'starting'))
    this.after(800, () => this.terminate(dyno))
    this.after(2500, () => {
      if (!this.isRunning(dyno)) return
      const next = this.boot(dyno.type, dyno.number)
      onBoot?.(next)
    })
  }

  /** A dyno ends by itself, or is killed; it is started anew after `downMs`. */
  crash(dyno: Dyno, exitStatus: number, downMs: number): void {
    dyno.state = 'crashed'
    this.say(exitLine(dyno.name, exitStatus))
    this.say(stateLine(dyno.name, 'up', 'crashed'))
    this.after(downMs, () => {
      if (!this.isRunning(dyno)) return
      this.say(stateLine(dyno.name, 'crashed', 'starting'))
      this.boot(dyno.type, dyno.number)
    })
  }

  /** Whether a dyno has its place still. */
  isRunning(dyno: Dyno): boolean {
    return this.dynos.get(dyno.name) === dyno
  }

  /** Takes a dyno away. */
  remove(dyno: Dyno): void {
    this.dynos.delete(dyno.name)
    this.say(stateLine(dyno.name, 'up', 'down'))
    this.after(800, () => this.terminate(dyno))
  }

  /** Dynos of a type that start within a minute are one marker. */
  private markBoot(process: DynoType): void {
    const isOne = this.markers.some(
      (marker) =>
        marker.kind === 'boot' &&
        marker.process === process &&
        this.nowMs <= marker.timeMs + JOINED_MS,
    )
    if (!isOne) this.mark({ kind: 'boot', process, words: [] })
  }

  private terminate(dyno: Dyno): void {
    this.say(dynoLine(dyno.name, 'Stopping all processes with SIGTERM'))
    this.after(900, () => this.say(exitLine(dyno.name, 143)))
  }
}

const isOutput = ({ source, process }: DemoLine): boolean =>
  source === 'app' && /^(web|worker|run)\./.test(process)
