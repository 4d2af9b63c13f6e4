/**
 * The entry for Deno, settings in its environment:
 * `deno run --allow-net --allow-env --allow-read --allow-write edge/deno.ts`
 *
 * It belongs behind a proxy: Deno.serve has no limit on connections that are idle or send half a
 * head, and never closes one.
 */
import { serveEdge } from './serve.ts'

/** What is used of Deno: its own types are not those of Bun, which the project is checked with. */
declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen: () => void },
    handler: (
      request: Request,
      info: { remoteAddr: { hostname?: string } },
    ) => Response | Promise<Response>,
  ): { addr: { port?: number }; shutdown(): Promise<void> }
}

await serveEdge(({ hostname, port, fetch }) => {
  const server = Deno.serve({ hostname, port, onListen: () => {} }, (request, { remoteAddr }) =>
    fetch(request, { peer: remoteAddr.hostname ?? '' }),
  )
  return { port: server.addr.port ?? port, stop: () => server.shutdown() }
})
