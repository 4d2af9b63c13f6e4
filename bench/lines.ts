/** Router lines to measure with: from a seed, and real ones where they are there. */
import { existsSync, readFileSync } from 'node:fs'
import { random } from '../test/generator.ts'

/** A day of January 2014, as https://github.com/heroku/… has it; not part of the project. */
const REAL_LOG = new URL('../../shared/data/playlab-router.log', import.meta.url)

const encoder = new TextEncoder()

/** Of lines that are made, ms. */
export const LINE_EVERY_MS = 7

/** Lines of one app, as long and as varied as real ones: about 330 bytes. */
export function routerMessages(count: number, seed: number, startMs: number): string[] {
  const next = random(seed)
  const pick = (most: number): number => Math.floor(next() * most)
  return Array.from({ length: count }, (_, i) => {
    const time = `${new Date(startMs + i * LINE_EVERY_MS).toISOString().slice(0, 23)}${100 + pick(900)}+00:00`
    const isError = next() < 0.01
    const service = Math.round(Math.exp(3 + next() * 3))
    const path = `/api/v2/users/${900_000_000 + pick(1e6)}/${['count', 'orders', 'feed?page=3'][pick(3)]}`
    const hex = (digits: number): string =>
      pick(16 ** digits)
        .toString(16)
        .padStart(digits, '0')
    const id = `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(8)}${hex(4)}`
    const head = isError ? 'at=error code=H12 desc="Request timeout"' : 'at=info'
    return (
      `<158>1 ${time} host heroku router - ${head} method=${next() < 0.8 ? 'GET' : 'POST'} ` +
      `path="${path}" host=app.example.com request_id=${id} fwd="198.51.100.${pick(256)}" ` +
      `dyno=web.${1 + pick(20)} connect=${pick(4)}ms service=${isError ? 30_000 : service}ms ` +
      `status=${isError ? 503 : next() < 0.95 ? 200 : 304} bytes=${pick(40_000)} protocol=https\n`
    )
  })
}

/**
 * The lines of the real log as Logplex would send them, their first at `startMs`; undefined where it
 * is not there.
 */
export function realMessages(startMs: number): string[] | undefined {
  if (!existsSync(REAL_LOG)) return undefined
  const lines = readFileSync(REAL_LOG, 'utf8').split('\n').filter(Boolean)
  const firstMs = Math.floor(Date.parse(lines[0]?.split(' ')[0] ?? '') / 60_000) * 60_000
  return lines.map((line) => {
    const [time = '', , ...text] = line.split(' ')
    const timeMs = startMs + Date.parse(time) - firstMs
    const written = new Date(timeMs).toISOString().slice(0, 23) + time.slice(23)
    return `<158>1 ${written} host heroku router - ${text.join(' ')}\n`
  })
}

/** Drain bodies of `perBody` messages each. */
export function bodiesOf(messages: readonly string[], perBody: number): Uint8Array<ArrayBuffer>[] {
  const bodies: Uint8Array<ArrayBuffer>[] = []
  for (let at = 0; at + perBody <= messages.length; at += perBody) {
    const frames = messages
      .slice(at, at + perBody)
      .map((message) => `${Buffer.byteLength(message)} ${message}`)
    bodies.push(encoder.encode(frames.join('')))
  }
  return bodies
}
