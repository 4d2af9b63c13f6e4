/**
 * The edge on one machine: the very Worker of worker.ts, in workerd. As a program it serves on
 * SHELF_EDGE_PORT, and follows the list of revoked drains in the file SHELF_REVOKED_FILE.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Miniflare } from 'miniflare'
import { z } from 'zod'

/** How often the file of revoked drains is looked at. */
const REVOKED_CHECK_MS = 250

/**
 * workerd lets its heap grow to half a gigabyte before it collects; this keeps it at half of that.
 * Bodies lie outside of the heap: 50 of the largest at once were tried.
 */
const V8_FLAGS = '--max-old-space-size=32 --max-semi-space-size=1'

/** How often the spool is drained: what Cloudflare's cron does each minute. */
const SCHEDULE_MS = 3000

/** Settings of the Worker: the names are those of wrangler.toml. */
export interface EdgeBindings {
  SHELF_LOG: string
  SHELF_LOG_DIALECT?: string
  SHELF_DRAIN_KEYS: string
  SHELF_REVOKED: string
  SHELF_DRAIN_RATE?: string
  SHELF_BODIES_BYTES_MAX?: string
  SHELF_SPOOL_OBJECTS_MAX?: string
}

export interface LocalEdge {
  url: string
  /** Puts new settings in force. */
  configure(bindings: EdgeBindings): Promise<void>
  stop(): Promise<void>
}

const wranglerSchema = z.object({ compatibility_date: z.string() })

/**
 * Bundles the Worker and serves it in workerd on 127.0.0.1; port 0 takes a free one.
 * @param spoolDir holds the bucket of the spool, which is drained every 3 s; without it there is none
 */
export async function startLocalEdge(
  port: number,
  bindings: EdgeBindings,
  spoolDir?: string,
): Promise<LocalEdge> {
  const build = await Bun.build({
    entrypoints: [`${import.meta.dir}/worker.ts`],
    target: 'browser',
    format: 'esm',
    minify: { syntax: true, whitespace: true },
  })
  const contents = await build.outputs[0]?.text()
  if (contents === undefined) throw new Error('the Worker could not be bundled')
  const wrangler = await Bun.file(`${import.meta.dir}/../wrangler.toml`).text()
  const { compatibility_date } = wranglerSchema.parse(Bun.TOML.parse(wrangler))
  const options = (current: EdgeBindings, onPort: number) => ({
    modules: [{ type: 'ESModule' as const, path: 'worker.js', contents }],
    compatibilityDate: compatibility_date,
    host: '127.0.0.1',
    port: onPort,
    bindings: { ...current },
    ...(spoolDir === undefined ? {} : { r2Buckets: ['SHELF_SPOOL'], r2Persist: spoolDir }),
  })
  process.env.MINIFLARE_WORKERD_V8_FLAGS ??= V8_FLAGS
  const miniflare = new Miniflare(options(bindings, port))
  const url = await miniflare.ready
  const schedule = spoolDir === undefined ? undefined : everySoOften(() => drain(miniflare))
  return {
    url: url.origin,
    configure: (next) => miniflare.setOptions(options(next, Number(url.port))),
    async stop() {
      clearInterval(schedule)
      await miniflare.dispose()
    },
  }
}

/** Calls `work` every SCHEDULE_MS, unless it is at work still. */
function everySoOften(work: () => Promise<void>): ReturnType<typeof setInterval> {
  let isBusy = false
  return setInterval(async () => {
    if (isBusy) return
    isBusy = true
    await work().catch(() => {})
    isBusy = false
  }, SCHEDULE_MS)
}

async function drain(miniflare: Miniflare): Promise<void> {
  const worker: object = await miniflare.getWorker()
  // Its type lacks what it has: the types of Cloudflare's runtime are not among our packages.
  if (!('scheduled' in worker) || typeof worker.scheduled !== 'function') return
  await worker.scheduled({ cron: '* * * * *' })
}

const environmentSchema = z.object({
  SHELF_EDGE_PORT: z.coerce.number().int().min(0).max(65_535),
  SHELF_LOG: z.string(),
  SHELF_LOG_DIALECT: z.string().default(''),
  SHELF_DRAIN_KEYS: z.string(),
  SHELF_REVOKED_FILE: z.string(),
  SHELF_DRAIN_RATE: z.string().default(''),
  SHELF_BODIES_BYTES_MAX: z.string().default(''),
  /** The state folder: the spool is in it. */
  SHELF_DIR: z.string(),
})

/** No file yet: no drain was revoked. A file that can't be read keeps what was in force. */
function revokedDrains(path: string, before: string): string {
  try {
    return z
      .array(z.string())
      .parse(JSON.parse(readFileSync(path, 'utf8')))
      .join()
  } catch {
    return before
  }
}

async function main(): Promise<void> {
  const environment = environmentSchema.safeParse(process.env)
  if (!environment.success) {
    console.error(`edge: the environment lacks ${environment.error.issues[0]?.path.join()}`)
    process.exit(2)
  }
  const { SHELF_EDGE_PORT, SHELF_REVOKED_FILE, SHELF_DIR, ...bindings } = environment.data
  let revoked = revokedDrains(SHELF_REVOKED_FILE, '')
  const edge = await startLocalEdge(
    SHELF_EDGE_PORT,
    { ...bindings, SHELF_REVOKED: revoked },
    join(SHELF_DIR, 'spool'),
  )
  console.error(`edge: ready at ${edge.url}`)
  const watch = setInterval(async () => {
    const now = revokedDrains(SHELF_REVOKED_FILE, revoked)
    if (now === revoked) return
    revoked = now
    await edge.configure({ ...bindings, SHELF_REVOKED: now })
    console.error('edge: the list of revoked drains is in force')
  }, REVOKED_CHECK_MS)
  const stop = async (): Promise<void> => {
    clearInterval(watch)
    await edge.stop()
    process.exit(0)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  if (process.env.SHELF_EXIT_WITH_PARENT === '1') process.stdin.on('end', stop).resume()
}

if (import.meta.main) await main()
