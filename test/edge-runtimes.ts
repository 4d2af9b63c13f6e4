/** The edge in each runtime that it is made for, as tests start it: always on a free port. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { eachLine, killGroup } from '../db/child.ts'
import { type EdgeBindings, startLocalEdge } from '../edge/dev.ts'

export const RUNTIMES = ['workerd', 'bun', 'deno'] as const
/** `dev` is workerd too, as a process of its own: as `shelf up` runs it. */
export type Runtime = (typeof RUNTIMES)[number] | 'dev'

const ROOT = join(import.meta.dir, '..')

/** Deno itself: the command of its package is a script that waits for it, and passes no signal on. */
const DENO = join(ROOT, 'node_modules/deno/deno')

const DENO_PERMISSIONS = ['net', 'env', 'read', 'write'].map((what) => `--allow-${what}`)

/** How each runtime is told to run its entry. */
const COMMANDS: Record<Exclude<Runtime, 'workerd'>, string[]> = {
  dev: [process.execPath, 'edge/dev.ts'],
  bun: [process.execPath, 'edge/bun.ts'],
  deno: [DENO, 'run', ...DENO_PERMISSIONS, 'edge/deno.ts'],
}

export interface RunningEdge {
  url: string
  configure(bindings: EdgeBindings): Promise<void>
  stop(): Promise<void>
  /** Kills it with no warning, with what is in flight; `configure` starts it again. */
  crash(): Promise<void>
  /** What it holds in memory, bytes. */
  memoryBytes(): number
}

/** An edge with these settings; `spoolDir` is where its spool is kept, without it there is none. */
export async function startRuntime(
  runtime: Runtime,
  bindings: EdgeBindings,
  spoolDir?: string,
): Promise<RunningEdge> {
  if (runtime === 'workerd') {
    const before = new Set(workerdPids())
    const edge = await startLocalEdge(0, bindings, spoolDir)
    const pids = (): number[] => workerdPids().filter((pid) => !before.has(pid))
    return {
      ...edge,
      crash: () => Promise.reject(new Error('it is not ours to kill: take dev')),
      memoryBytes: () => residentBytes(pids()),
    }
  }
  let child = await startProcess(runtime, bindings, spoolDir, '0')
  return {
    url: child.url,
    async configure(changed) {
      await child.stop()
      child = await startProcess(runtime, changed, spoolDir, new URL(child.url).port)
    },
    stop: async () => void (await child.stop()),
    crash: async () => void (await child.stop('SIGKILL')),
    memoryBytes: () => residentBytes([child.pid]),
  }
}

export interface EdgeProcess {
  url: string
  pid: number
  /** What it said until now. */
  words(): string
  /** Ends it. @returns its exit code */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

/** An edge as a process of its own that is ready. @throws Error with its words where it ends before */
export async function startProcess(
  runtime: Exclude<Runtime, 'workerd'>,
  settings: EdgeBindings | Record<string, string>,
  spoolDir: string | undefined,
  port: string,
  shell = ':',
): Promise<EdgeProcess> {
  const child = spawnEdge(
    runtime,
    {
      SHELF_EDGE_PORT: port,
      SHELF_SPOOL_DIR: spoolDir ?? '',
      // These two are for dev.
      SHELF_DIR: spoolDir ?? '',
      SHELF_REVOKED_FILE: '',
      ...settings,
    },
    shell,
  )
  let words = ''
  const ready = Promise.withResolvers<string>()
  const ended = eachLine(child.stderr, (line) => {
    words += `${line}\n`
    const url = /^edge: ready at (\S+?),? /.exec(`${line} `)?.[1]
    if (url !== undefined) ready.resolve(url)
  })
  ended.then(() => ready.reject(new Error(`the edge ended: ${words}`)))
  return {
    url: await ready.promise,
    pid: child.pid,
    words: () => words,
    async stop(signal = 'SIGTERM') {
      if (signal === 'SIGKILL') killGroup(child.pid)
      else child.kill(signal)
      await child.exited
      return child.exitCode
    },
  }
}

export function spawnEdge(
  runtime: Exclude<Runtime, 'workerd'>,
  settings: object,
  shell = ':',
): Bun.Subprocess<'pipe', 'ignore', 'pipe'> {
  // The package of Deno unpacks it when it is first asked for something.
  if (runtime === 'deno' && !existsSync(DENO)) {
    spawnSync(process.execPath, [join(ROOT, 'node_modules/deno/bin.cjs'), '--version'])
  }
  return Bun.spawn(['bash', '-c', `${shell}; exec "$@"`, 'edge', ...COMMANDS[runtime]], {
    cwd: ROOT,
    env: {
      ...process.env,
      SHELF_EDGE_HOST: '127.0.0.1',
      SHELF_EXIT_WITH_PARENT: '1',
      ...settings,
    },
    // A group of its own, which a kill ends whole.
    detached: true,
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
  })
}

/** The workerd processes that this process started. */
function workerdPids(): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'ppid=,pid=,comm='], { encoding: 'utf8' })
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return rows
    .filter(([ppid, , name]) => ppid === `${process.pid}` && /workerd$/.test(name ?? ''))
    .map(([, pid]) => Number(pid))
}

function residentBytes(pids: readonly number[]): number {
  const { stdout } = spawnSync('ps', ['-o', 'rss=', '-p', pids.join()], { encoding: 'utf8' })
  return stdout.split('\n').reduce((sum, kilobytes) => sum + Number(kilobytes) * 1024, 0)
}
