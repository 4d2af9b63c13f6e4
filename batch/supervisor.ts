/**
 * Keeps the programs of a stack running: starts each, waits until it is ready, starts it again when
 * it dies, and ends all in reverse order.
 */
import { eachLine, exitWords, killGroup, settlesWithin } from '../db/child.ts'

/** A first start on a slow disk; `npm start` itself must be ready within 60 s. */
const READY_MS_MAX = 60_000
/** 250 ms, doubled up to 10 s: soon enough for a person, too seldom to burn a core. */
const BACKOFF_MS_MIN = 250
const BACKOFF_MS_MAX = 10_000
/** A program that lived this long starts over with the shortest wait. */
const STEADY_MS = 60_000
/** Between SIGTERM and SIGKILL. */
const STOP_MS_MAX = 8000
/** For the last words of a program that has ended. */
const LAST_WORDS_MS_MAX = 500
const PROBE_MS = 25
const PROBE_MS_MAX = 1000

/** A program under supervision. `launch` takes each line that it writes to stderr. */
export interface Program {
  name: string
  launch(onLine: (line: string) => void): Running
}

/** One life of a program. */
export interface Running {
  /** Resolves when it serves; rejects when it ended first, with a `Passing` when that may pass. */
  ready: Promise<unknown>
  /** How it ended, in words: `exit code 3`, `SIGKILL`. Never rejects. */
  exited: Promise<string>
  /** Resolves when it is gone, with all that it started. */
  stop(): Promise<void>
  /** Ends it at once. */
  kill(): void
}

/** A start that failed in a way that may pass: not by exit code 1 (failed) or 2 (wrong usage). */
export class Passing extends Error {}

export interface Command {
  name: string
  argv: string[]
  env: Record<string, string | undefined>
  /** A URL that answers 2xx, a line on stderr, or nothing: started is ready. */
  ready?: { url: string } | { line: string }
}

interface Entry {
  program: Program
  running: Running | undefined
  ended: Promise<void>
}

export class Supervisor {
  private readonly entries: Entry[] = []
  private readonly stopAsked = Promise.withResolvers<void>()
  private isStopping = false

  /** `say` takes one line at a time: deaths and restarts, and the programs' own words. */
  constructor(private readonly say: (line: string) => void) {}

  /**
   * Starts a program and keeps it running. Resolves when it is ready for the first time; rejects
   * when it can't be: it failed for good, was not ready within 60 s, or we are stopping.
   */
  start(program: Program): Promise<void> {
    const first = Promise.withResolvers<void>()
    const entry: Entry = { program, running: undefined, ended: Promise.resolve() }
    this.entries.push(entry)
    entry.ended = this.keepRunning(entry, first)
    return first.promise
  }

  /** Ends all programs, the last started first. Nothing is left running when it resolves. */
  async stop(): Promise<void> {
    this.askStop()
    for (const { running, ended } of this.entries.toReversed()) {
      await running?.stop()
      await ended
    }
  }

  /** Ends all at once; `stop` then resolves soon. */
  kill(): void {
    this.askStop()
    for (const { running } of this.entries) running?.kill()
  }

  private askStop(): void {
    this.isStopping = true
    this.stopAsked.resolve()
  }

  private async keepRunning(entry: Entry, first: PromiseWithResolvers<void>): Promise<void> {
    const { name, launch } = entry.program
    const startedMs = performance.now()
    let isFirst = true
    let waitMs = 0
    while (!this.isStopping) {
      const launchedMs = performance.now()
      let end: string
      try {
        entry.running = launch((line) => this.say(`${name} | ${line}`))
        await inTime(entry.running.ready)
        const tookMs = Math.round(performance.now() - launchedMs)
        this.say(isFirst ? `${name}: ready in ${tookMs} ms` : `${name}: running again`)
        isFirst = false
        first.resolve()
        end = await entry.running.exited
      } catch (error) {
        await entry.running?.stop()
        end = error instanceof Error ? error.message : String(error)
        const mayPass = error instanceof Passing && performance.now() - startedMs < READY_MS_MAX
        if (isFirst && !mayPass) return first.reject(new Error(`${name}: ${end}`, { cause: error }))
      }
      if (this.isStopping) break
      waitMs = backoffMs(waitMs, performance.now() - launchedMs)
      this.say(`${name}: ${end}, starting again in ${waitMs} ms`)
      await settlesWithin(this.stopAsked.promise, waitMs)
    }
    first.reject(new Error('stopped'))
  }
}

/** The wait before the next start, ms, after a life of `livedMs` and a wait of `waitedMs` before it. */
export function backoffMs(waitedMs: number, livedMs: number): number {
  if (livedMs >= STEADY_MS) return BACKOFF_MS_MIN
  return Math.min(Math.max(waitedMs * 2, BACKOFF_MS_MIN), BACKOFF_MS_MAX)
}

/**
 * A program that is a command. It runs in a process group of its own, which ends with it. Its stdin
 * is a pipe that closes when we die, and SHELF_EXIT_WITH_PARENT=1 asks it to exit then.
 */
export function command({ name, argv, env, ready }: Command): Program {
  return { name, launch: (onLine) => launchCommand(argv, env, ready, onLine) }
}

function launchCommand(
  argv: string[],
  env: Command['env'],
  readyWhen: Command['ready'],
  onLine: (line: string) => void,
): Running {
  const child = Bun.spawn(argv, {
    env: { ...env, SHELF_EXIT_WITH_PARENT: '1' },
    // A terminal's Ctrl-C then reaches us alone, who know the order.
    detached: true,
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const isRunning = () => child.exitCode === null && child.signalCode === null
  let lastLine = ''
  const readyLine = Promise.withResolvers<void>()
  const drained = eachLine(child.stderr, (line) => {
    lastLine = line
    if (readyWhen && 'line' in readyWhen && line === readyWhen.line) readyLine.resolve()
    onLine(line)
  })
  const exited = child.exited.then(async () => {
    // What it started would hold on to its ports.
    killGroup(child.pid)
    await settlesWithin(drained, LAST_WORDS_MS_MAX)
    return exitWords(child)
  })
  const died = exited.then((words) => {
    const isFinal = child.exitCode === 1 || child.exitCode === 2
    throw isFinal ? new Error(lastLine || words) : new Passing(words)
  })
  const serves = () => {
    if (!readyWhen) return Promise.resolve()
    if ('line' in readyWhen) return readyLine.promise
    return answers(readyWhen.url, isRunning)
  }
  return {
    ready: Promise.race([serves(), died]),
    exited,
    stop: async () => {
      child.kill('SIGTERM')
      if (!(await settlesWithin(exited, STOP_MS_MAX))) killGroup(child.pid)
      await exited
    },
    kill: () => {
      if (isRunning()) killGroup(child.pid)
    },
  }
}

/** Asks until it answers 2xx, or is not to be waited for any more. */
async function answers(url: string, isWorthIt: () => boolean): Promise<void> {
  while (isWorthIt()) {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS_MAX) }).catch(
      () => null,
    )
    await response?.body?.cancel()
    if (response?.ok) return
    await Bun.sleep(PROBE_MS)
  }
  // The other side of the race, its death, has the words.
  await new Promise(() => {})
}

async function inTime(ready: Promise<unknown>): Promise<void> {
  if (!(await settlesWithin(ready, READY_MS_MAX))) {
    throw new Error(`not ready within ${READY_MS_MAX / 1000} s`)
  }
  await ready
}
