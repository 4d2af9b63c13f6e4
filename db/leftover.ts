/**
 * A PostgreSQL left over: what started it was killed, and it still runs on its data folder.
 */
import { existsSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A fast shutdown writes one checkpoint of shared_buffers; then SIGQUIT, then SIGKILL. */
export const STOP_SECONDS_MAX = 10
export const QUIT_SECONDS_MAX = 5

/**
 * Ends a postmaster that still runs on `dataDir` because what started it was killed. Resolves to
 * whether there was one. The caller must hold the folder: a server in use would be ended as well.
 */
export async function stopLeftoverPostgres(dataDir: string): Promise<boolean> {
  const lockFile = join(dataDir, 'postmaster.pid')
  if (!existsSync(lockFile)) return false
  const [first = '', ...rest] = readFileSync(lockFile, 'utf8').split('\n')
  const pid = Number(first)
  if (!Number.isSafeInteger(pid) || pid < 2 || !isAlive(pid)) return false
  if (!isPostgresOn(pid, dataDir)) {
    // Where pids start over, as in a restarted container, the pid may be another program's by now,
    // and PostgreSQL would refuse. Its parent's pid it passes over, and still checks shared memory.
    writeFileSync(lockFile, [process.pid, ...rest].join('\n'))
    return false
  }
  for (const [signal, seconds] of [
    ['SIGINT', STOP_SECONDS_MAX],
    ['SIGQUIT', QUIT_SECONDS_MAX],
    ['SIGKILL', QUIT_SECONDS_MAX],
  ] as const) {
    process.kill(pid, signal)
    const untilMs = Date.now() + seconds * 1000
    while (Date.now() < untilMs) {
      if (!isAlive(pid) || !isPostgresOn(pid, dataDir)) return true
      await Bun.sleep(20)
    }
  }
  throw new Error(`a PostgreSQL left over on ${dataDir} does not end: kill process ${pid}`)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Whether the process is a postgres that works in `dataDir`; a zombie is none. */
function isPostgresOn(pid: number, dataDir: string): boolean {
  if (process.platform === 'linux') {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'postgres') return false
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      if (args.includes(resolve(dataDir))) return true
      // Where it works says more if the folder was moved, but root in a container may not see it.
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDir)
    } catch {
      return false
    }
  }
  const { stdout } = Bun.spawnSync(['ps', '-o', 'command=', '-p', String(pid)])
  const command = stdout.toString()
  return command.includes('postgres') && command.includes(dataDir)
}
