/**
 * The edge on one machine: the very Worker of worker.ts, in workerd. As a program it serves on
 * SHELF_EDGE_PORT, and follows the list of revoked drains in the file SHELF_REVOKED_FILE.
 */
import { readFileSync } from 'node:fs'
import { Miniflare } from 'miniflare'
import { z } from 'zod'

/** How often the file of revoked drains is looked at. */
const REVOKED_CHECK_MS = 250

/**
 * workerd lets its heap grow to half a gigabyte before it collects; this keeps it at half of that.
 * Bodies lie outside of the heap: 50 of the largest at once were tried.
 */
const V8_FLAGS = '--max-old-space-size=32 --max-semi-space-size=1'

/** Settings of the Worker: the names are those of wrangler.toml. */
export interface EdgeBindings {
  SHELF_LOG: string
  SHELF_DRAIN_KEYS: string
  SHELF_REVOKED: string
}

export interface LocalEdge {
  url: string
  /** Puts new settings in force. */
  configure(bindings: EdgeBindings): Promise<void>
  stop(): Promise<void>
}

const wranglerSchema = z.object({ compatibility_date: z.string() })

/** Bundles the Worker and serves it in workerd on 127.0.0.1; port 0 takes a free one. */
export async function startLocalEdge(port: number, bindings: EdgeBindings): Promise<LocalEdge> {
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
  })
  process.env.MINIFLARE_WORKERD_V8_FLAGS ??= V8_FLAGS
  const miniflare = new Miniflare(options(bindings, port))
  const url = await miniflare.ready
  return {
    url: url.origin,
    configure: (next) => miniflare.setOptions(options(next, Number(url.port))),
    stop: () => miniflare.dispose(),
  }
}

const environmentSchema = z.object({
  SHELF_EDGE_PORT: z.coerce.number().int().min(0).max(65_535),
  SHELF_LOG: z.string(),
  SHELF_DRAIN_KEYS: z.string(),
  SHELF_REVOKED_FILE: z.string(),
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
  const { SHELF_EDGE_PORT, SHELF_REVOKED_FILE, ...bindings } = environment.data
  let revoked = revokedDrains(SHELF_REVOKED_FILE, '')
  const edge = await startLocalEdge(SHELF_EDGE_PORT, { ...bindings, SHELF_REVOKED: revoked })
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
