/** The entry for Bun: `bun edge/bun.ts`, settings in its environment. */
import { IDLE_SECONDS, serveEdge } from './serve.ts'

/** The edge answers what is too large itself, reading no more than it has to: as on Cloudflare. */
const REQUEST_BYTES_MAX = 100_000_000

await serveEdge(({ hostname, port, fetch }) => {
  const server: Bun.Server<undefined> = Bun.serve({
    hostname,
    port,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: REQUEST_BYTES_MAX,
    fetch: (request) => fetch(request, { peer: server.requestIP(request)?.address ?? '' }),
  })
  return { port: server.port ?? port, stop: () => server.stop() }
})
