/** The entry for Cloudflare Workers. wrangler.toml says what is set, and what has to exist. */
import * as z from 'zod'
import { type Edge, openEdge } from './edge.ts'
import { edgeSettings, settingsProblem } from './settings.ts'
import { r2BucketSchema, r2Spool } from './spool/r2.ts'

/** A cron trigger comes each minute: a run ends before the next begins. */
const RUN_MS_MAX = 50_000

/** As soon as the log is back, a request takes some along: its work may last 30 s after its answer. */
const RECOVERY_OBJECTS_MAX = 200
const RECOVERY_MS_MAX = 15_000

const bindingsSchema = z.object({ SHELF_SPOOL: r2BucketSchema.optional() })

interface Context {
  waitUntil(work: Promise<unknown>): void
}

interface Worker extends Edge {
  objectsMax: number
}

let worker: Worker | undefined

export default {
  async fetch(request: Request, env: unknown, context: Context): Promise<Response> {
    const edge = open(env)
    if (edge === undefined) {
      return Response.json({ error: 'the edge is not configured', status: 503 }, { status: 503 })
    }
    const peer = request.headers.get('cf-connecting-ip') ?? ''
    const response = await edge.fetch(request, { peer })
    if (edge.hasRecovered()) {
      const objectsMax = Math.min(edge.objectsMax, RECOVERY_OBJECTS_MAX)
      context.waitUntil(edge.drain({ objectsMax, msMax: RECOVERY_MS_MAX }))
    }
    return response
  },

  async scheduled(_event: unknown, env: unknown): Promise<void> {
    const edge = open(env)
    await edge?.drain({ objectsMax: edge.objectsMax, msMax: RUN_MS_MAX })
  },
}

/** Undefined where it is not configured: a line in the Worker's log says what is wrong. */
function open(env: unknown): Worker | undefined {
  if (worker !== undefined) return worker
  const settings = edgeSettings.safeParse(env)
  const bindings = bindingsSchema.safeParse(env)
  const wrong = settings.error ?? bindings.error
  if (wrong !== undefined) console.error(`the edge is not configured: ${settingsProblem(wrong)}`)
  if (!settings.success || !bindings.success) return undefined
  const { SHELF_SPOOL: bucket } = bindings.data
  const spool = bucket === undefined ? undefined : r2Spool(bucket)
  worker = {
    ...openEdge(settings.data, spool),
    objectsMax: settings.data.spoolObjectsMax,
  }
  return worker
}
