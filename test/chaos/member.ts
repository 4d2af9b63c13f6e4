/** A process that takes part in the chaos: killed with -9 or frozen at any time, and started again. */
import { spawnSync } from 'node:child_process'

/** Between a death and the next start: what a supervisor takes. */
const RESTART_PAUSE_MS = 250

/** One life of a process. */
export interface Life {
  pid: number
  exited: Promise<unknown>
}

export class Member {
  kills = 0
  freezes = 0
  private life: Life | undefined
  private frozen: number[] = []
  private stopped = false
  private held: PromiseWithResolvers<void> | undefined
  private over: Promise<void> = Promise.resolve()

  /** @param launch resolves when the process serves; rejects when it died before */
  constructor(
    readonly name: string,
    private readonly launch: () => Promise<Life>,
  ) {}

  /** Starts it, resolves when it serves, and starts it again whenever it dies. */
  async start(): Promise<void> {
    this.life = await this.launch()
    this.over = this.keepAlive(this.life)
  }

  private async keepAlive(first: Life): Promise<void> {
    await first.exited
    while (!this.stopped) {
      this.life = undefined
      await Bun.sleep(RESTART_PAUSE_MS)
      await this.held?.promise
      if (this.stopped) return
      try {
        this.life = await this.launch()
        await this.life.exited
      } catch {
        // It died before it served: once more.
      }
    }
  }

  /** SIGKILL to it and all that it started; false while it is not up. */
  kill(): boolean {
    if (this.life === undefined) return false
    for (const pid of familyOf(this.life.pid)) signal(pid, 'SIGKILL')
    this.kills += 1
    return true
  }

  /** Kills it, and keeps it down until `release`. */
  hold(): void {
    this.held = Promise.withResolvers()
    this.kill()
  }

  release(): void {
    this.held?.resolve()
    this.held = undefined
  }

  /** Stops it in its tracks, with all that it started, for `ms`; false while it is not up. */
  freeze(ms: number): boolean {
    if (this.life === undefined || this.frozen.length > 0) return false
    this.frozen = familyOf(this.life.pid)
    for (const pid of this.frozen) signal(pid, 'SIGSTOP')
    this.freezes += 1
    setTimeout(() => this.thaw(), ms)
    return true
  }

  thaw(): void {
    for (const pid of this.frozen) signal(pid, 'SIGCONT')
    this.frozen = []
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.stopped = true
    this.thaw()
    this.release()
    if (this.life !== undefined) {
      for (const pid of familyOf(this.life.pid)) signal(pid, 'SIGKILL')
    }
    await this.over
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone already.
  }
}

/** A process, its children, and theirs. PostgreSQL's backends leave their parent's process group. */
function familyOf(pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
  const pairs = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  const family = [pid]
  for (let i = 0; i < family.length; i++) {
    for (const [child, parent] of pairs) {
      if (child !== undefined && parent === family[i]) family.push(child)
    }
  }
  return family
}
