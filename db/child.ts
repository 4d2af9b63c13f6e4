/**
 * Child processes: their output as lines, how they end, and programs that are run to their end.
 */

/** Of one line of a child's output, UTF-16 units; the rest of the line is cut off. */
const LINE_CHARS_MAX = 8192

/** Reads a child's output as lines, each cut at 8,192 characters. Resolves at its end. */
export async function eachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let line = ''
  const take = (text: string) => {
    line = (line + text).slice(0, LINE_CHARS_MAX)
  }
  for await (const bytes of stream) {
    const [first = '', ...others] = decoder.decode(bytes, { stream: true }).split('\n')
    take(first)
    for (const other of others) {
      onLine(line)
      line = ''
      take(other)
    }
  }
  if (line !== '') onLine(line)
}

/** Whether `promise` settles within `ms`. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(late.resolve, ms, false)
  const settled = promise.then(
    () => true,
    () => true,
  )
  return Promise.race([settled, late.promise]).finally(() => clearTimeout(timer))
}

/** How a child ended, in words: `exit code 1`, `SIGKILL`. */
export function exitWords({ exitCode, signalCode }: Ended): string {
  if (signalCode === null) return `exit code ${exitCode}`
  return typeof signalCode === 'string' ? signalCode : `signal ${signalCode}`
}

/** Ends a detached child's whole process group with SIGKILL; quiet if it is gone. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {}
}

/** What a program that ran to its end left: its exit code and both its outputs. */
export interface Outcome {
  code: number
  out: string
  err: string
}

/**
 * Runs a program to its end, with `stdin` as its input; code 127 where it can't be started. Rejects
 * with the signal's reason when that was aborted before; an abort later ends the program's group.
 */
export async function run(argv: string[], stdin = '', signal?: AbortSignal): Promise<Outcome> {
  signal?.throwIfAborted()
  let child: ReturnType<typeof spawn>
  try {
    child = spawn(argv, stdin)
  } catch (error) {
    return { code: 127, out: '', err: error instanceof Error ? error.message : String(error) }
  }
  const kill = () => killGroup(child.pid)
  signal?.addEventListener('abort', kill)
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  const code = await child.exited
  const [out, err] = await output
  signal?.removeEventListener('abort', kill)
  return { code, out, err }
}

/** In a group of its own, so that a terminal's Ctrl-C reaches us alone, who know the order. */
export function spawn(argv: string[], stdin: string) {
  return Bun.spawn(argv, {
    // PostgreSQL's user may not be allowed where we are.
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    stdin: new TextEncoder().encode(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

type Ended = Pick<Bun.Subprocess, 'exitCode' | 'signalCode'>
