/** The dashboard in Bun. */
import { connect, type Sql } from '../db/client.ts'
import { webApp } from './app.ts'
import { buildAssets } from './bundle.ts'

/** A page asks for six things at once. Few, as each has to learn the tables once. */
const CONNECTIONS_MAX = 6
/** They are kept for who comes back: a new one takes its time to learn the tables. */
const IDLE_SECONDS = 900
/** What takes longer has asked for too much; see deadline.ts for what does not answer at all. */
const STATEMENT_MS_MAX = '12s'
/** No form has more than a token. */
const BODY_BYTES_MAX = 64 * 1024

export interface WebServer {
  url: string
  stop(): Promise<void>
}

/** @throws Error where it can't listen, or the scripts can't be bundled */
export async function serveWeb(
  databaseUrl: string,
  { hostname, port, silentMs }: { hostname: string; port: number; silentMs?: number },
): Promise<WebServer> {
  const app = webApp(await buildAssets(), { isPacking: true, ...(silentMs ? { silentMs } : {}) })
  const open = (): Sql =>
    connect(databaseUrl, {
      max: CONNECTIONS_MAX,
      idleSeconds: IDLE_SECONDS,
      settings: { application_name: 'shelf web', statement_timeout: STATEMENT_MS_MAX, jit: 'off' },
    })
  let pool = open()
  const server: Bun.Server<undefined> = Bun.serve({
    hostname,
    port,
    maxRequestBodySize: BODY_BYTES_MAX,
    fetch: (request) => {
      const sql = pool
      const reconnect = (): void => {
        if (pool !== sql) return
        pool = open()
        void sql.end({ timeout: 0 })
      }
      const peer = server.requestIP(request)?.address ?? ''
      return app.fetch(request, { sql, peer, inBackground: () => {}, reconnect })
    },
  })
  return {
    url: `http://${hostname}:${server.port}`,
    async stop() {
      await server.stop(true)
      await pool.end({ timeout: 5 })
    },
  }
}
