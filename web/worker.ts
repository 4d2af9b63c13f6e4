/** The dashboard on Cloudflare Workers, its SQL through Hyperdrive. web/build-worker.ts makes the entry. */
import * as z from 'zod'
import { connect } from '../db/client.ts'
import { webApp } from './app.ts'
import type { Asset } from './assets.ts'

/** A Worker has six connections at most while it answers. */
const CONNECTIONS_MAX = 5

/** `SHELF_DB` is a Hyperdrive that caches nothing: numbers are live, and a revoked token is revoked. */
const bindingsSchema = z.object({ SHELF_DB: z.object({ connectionString: z.string() }) })

interface Context {
  waitUntil(work: Promise<unknown>): void
}

/** @param assets without their packed forms: Cloudflare packs */
export function worker(assets: readonly Asset[]) {
  const app = webApp(assets, { isPacking: false })
  return {
    async fetch(request: Request, env: unknown, context: Context): Promise<Response> {
      const bindings = bindingsSchema.safeParse(env)
      if (!bindings.success) {
        console.error('the dashboard is not configured: it wants a Hyperdrive as SHELF_DB')
        return new Response('The dashboard is not configured.', { status: 503 })
      }
      // A connection belongs to the request that opened it; Hyperdrive keeps those to PostgreSQL.
      const sql = connect(bindings.data.SHELF_DB.connectionString, { max: CONNECTIONS_MAX })
      const background: Promise<unknown>[] = []
      try {
        const peer = request.headers.get('cf-connecting-ip') ?? ''
        const inBackground = (work: Promise<unknown>): void => {
          background.push(work)
        }
        // The connection is of this request alone, and ends with it.
        return await app.fetch(request, { sql, peer, inBackground, reconnect: () => {} })
      } finally {
        context.waitUntil(Promise.allSettled(background).then(() => sql.end({ timeout: 5 })))
      }
    },
  }
}
