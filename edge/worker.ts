/** The entry for Cloudflare Workers. */
import * as z from 'zod'
import { authenticator, drainKeysSchema, userHasher } from '../core/credential.ts'
import { edgeApp } from './app.ts'
import { upstashSink } from './sinks/upstash.ts'

/** Variables and secrets of the Worker; wrangler.toml says what each is. */
const bindingsSchema = z.object({
  SHELF_LOG: z
    .url({ protocol: /^https?$/ })
    .refine(hasReadableCredentials, 'user and password are missing, or not percent-encoded'),
  SHELF_DRAIN_KEYS: drainKeysSchema,
  SHELF_REVOKED: z
    .string()
    .default('')
    .transform((text) => new Set(text.split(',').filter((id) => id !== ''))),
})

function hasReadableCredentials(text: string): boolean {
  try {
    const { username, password } = new URL(text)
    return [username, password].map(decodeURIComponent).every((part) => part !== '')
  } catch {
    return false
  }
}

let app: ReturnType<typeof edgeApp> | undefined

export default {
  fetch(request: Request, env: unknown): Response | Promise<Response> {
    if (app === undefined) {
      const bindings = bindingsSchema.safeParse(env)
      if (!bindings.success) {
        console.error(`the Worker is not configured:\n${z.prettifyError(bindings.error)}`)
        return Response.json({ error: 'the edge is not configured', status: 503 }, { status: 503 })
      }
      const { SHELF_LOG, SHELF_DRAIN_KEYS, SHELF_REVOKED } = bindings.data
      const [newestKey] = SHELF_DRAIN_KEYS
      app = edgeApp({
        hashUser: userHasher(newestKey),
        authenticate: authenticator(SHELF_DRAIN_KEYS, SHELF_REVOKED),
        sink: upstashSink(SHELF_LOG),
      })
    }
    return app.fetch(request)
  },
}
