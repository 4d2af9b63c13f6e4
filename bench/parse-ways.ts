/** Two ways to read drain bodies, in whatever runtime: Shelf's, and as most receivers do it. */
import { encodeBurst } from '../core/burst.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'

/** Parses, validates, and encodes for the log. Returns bytes made. */
export async function readOurs(
  bodies: readonly Uint8Array[],
  receivedAtMs: number,
): Promise<number> {
  let bytes = 0
  for (const [i, body] of bodies.entries()) {
    const headers = { frameId: `${i}`, drainToken: 'd.bench', messages: 0 }
    const burst = await herokuBurst('bench', headers, body, receivedAtMs, async () => '')
    bytes += encodeBurst(burst).length
  }
  return bytes
}

const LINE =
  /^\d+ <\d+>1 (\S+) \S+ heroku router - at=(\w+)(?: code=(\w+))?.* dyno=(\S*) connect=(\d*)(?:ms)? service=(\d*)(?:ms)? status=(\d*) bytes=(\d*)/

/**
 * Decodes a body, runs a regular expression over each line, and makes JSON. It keeps less: frames
 * are not cut by their octet count, nothing is validated, there is no ledger.
 */
export function readTheirs(bodies: readonly Uint8Array[]): number {
  let bytes = 0
  const decoder = new TextDecoder()
  for (const body of bodies) {
    const events: object[] = []
    for (const line of decoder.decode(body).split('\n')) {
      const found = LINE.exec(line)
      if (found === null) continue
      const [, time = '', at, code, dyno, connect, service, status, size] = found
      events.push({
        ...{ time: Date.parse(time), at, code, dyno },
        ...{ connect: Number(connect), service: Number(service) },
        ...{ status: Number(status), bytes: Number(size) },
      })
    }
    bytes += JSON.stringify(events).length
  }
  return bytes
}
