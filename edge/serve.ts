/**
 * The edge as a process of its own: what its entries for Bun and Deno have in common. It says one
 * line on stderr when it is ready; SIGTERM and SIGINT end it; bad settings are exit code 2.
 */
import process from 'node:process'
import type { Peer } from './app.ts'
import { type Edge, openEdge } from './edge.ts'
import { edgeSettings, serverSettings, settingsProblem } from './settings.ts'
import type { Drained } from './spool/drain.ts'
import { folderSpool } from './spool/folder.ts'
import type { Spool } from './spool/spool.ts'

/** How often the spool is looked at. */
const DRAIN_EVERY_MS = 3000
/** And after it failed: a person has to do something first. */
const DRAIN_FAILED_MS = 30_000
const DRAIN_MS_MAX = 30_000

/** What is in flight is answered within 4 s; idle connections are cut after this. */
const STOP_MS_MAX = 5000

/** Above the idle time of the usual load balancers, 60 s, so that they close first. */
export const IDLE_SECONDS = 75

export interface Listening {
  hostname: string
  port: number
  fetch(request: Request, peer: Peer): Response | Promise<Response>
}

export interface Listener {
  port: number
  /** Takes no more; resolves when what is in flight was answered. */
  stop(): Promise<void>
}

/** Serves until a signal says to stop. `listen` throws where the address can't be had. */
export async function serveEdge(listen: (listening: Listening) => Listener): Promise<void> {
  const edgeRead = edgeSettings.safeParse(process.env)
  const serverRead = serverSettings.safeParse(process.env)
  const problems = [edgeRead.error, serverRead.error].filter((error) => error !== undefined)
  if (!edgeRead.success || !serverRead.success) fail(problems.map(settingsProblem).join('; '), 2)
  const { SHELF_EDGE_HOST: hostname, ...server } = serverRead.data
  const spool = await openSpool(server.SHELF_SPOOL_DIR, server.SHELF_SPOOL_BYTES_MAX)
  const edge = openEdge(edgeRead.data, spool)
  const stopping = new AbortController()

  let listener: Listener
  try {
    listener = listen({
      hostname,
      port: server.SHELF_EDGE_PORT,
      fetch: (request, { peer }) =>
        // Behind a proxy all come from its address. It tells senders apart, and lets nobody in.
        edge.fetch(request, { peer: request.headers.get('x-forwarded-for') ?? peer }),
    })
  } catch (error) {
    fail(`can't listen on ${hostname}:${server.SHELF_EDGE_PORT}: ${error}`, 1)
  }
  const draining =
    spool === undefined
      ? undefined
      : drainForEver(edge, edgeRead.data.spoolObjectsMax, stopping.signal)

  const stop = async (): Promise<void> => {
    if (stopping.signal.aborted) return
    stopping.abort()
    await Promise.race([Promise.all([listener.stop(), draining]), pause(STOP_MS_MAX)])
    process.exit(0)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  if (server.SHELF_EXIT_WITH_PARENT === '1') {
    process.stdin.on('end', stop).on('close', stop).on('error', stop).resume()
  }
  const where = server.SHELF_SPOOL_DIR
  if (where === undefined) {
    say('no spool: with SHELF_SPOOL_DIR unset, drains are answered 503 while the log is down')
  }
  say(
    `ready at http://${hostname}:${listener.port}${where === undefined ? '' : `, spool in ${where}`}`,
  )
}

async function openSpool(folder: string | undefined, bytesMax: number): Promise<Spool | undefined> {
  if (folder === undefined) return undefined
  try {
    return await folderSpool(folder, bytesMax)
  } catch (error) {
    fail(`SHELF_SPOOL_DIR can't be used: ${error}`, 1)
  }
}

/** Runs follow each other at once while there is more to bring. */
async function drainForEver(edge: Edge, objectsMax: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const drained = await edge.drain({ objectsMax, msMax: DRAIN_MS_MAX, signal })
    if (drained === undefined) await pause(DRAIN_FAILED_MS, signal)
    else if (drained.isEmpty || isIdle(drained)) await pause(DRAIN_EVERY_MS, signal)
  }
}

/** What waits is there for something: a log that is back, a person that looks. */
const isIdle = ({ produced, rejected, isLogDown }: Drained): boolean =>
  isLogDown || produced + rejected === 0

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}

function say(line: string): void {
  process.stderr.write(`edge: ${line}\n`)
}

function fail(line: string, exitCode: number): never {
  say(line)
  process.exit(exitCode)
}
