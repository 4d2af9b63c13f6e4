/**
 * Runs the ways of parse-ways.ts in workerd. Clocks stand still in a Worker while it computes, so who
 * asks measures. Bodies are posted once, one behind the other, with their lengths in a header.
 */
import { readOurs, readTheirs } from './parse-ways.ts'

let bodies: Uint8Array[] = []

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/bodies') {
      const all = new Uint8Array(await request.arrayBuffer())
      const lengths = (request.headers.get('x-lengths') ?? '').split(',').map(Number)
      let at = 0
      bodies = lengths.map((length) => {
        at += length
        return all.slice(at - length, at)
      })
      return new Response(String(at))
    }
    const receivedAtMs = Number(searchParams.get('received'))
    const runs = Number(searchParams.get('runs'))
    let bytes = 0
    for (let i = 0; i < runs; i++) {
      bytes += pathname === '/ours' ? await readOurs(bodies, receivedAtMs) : readTheirs(bodies)
    }
    return new Response(String(bytes))
  },
}
