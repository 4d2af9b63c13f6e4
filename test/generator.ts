/** Drain bodies with known content, from a seed. */

export interface GeneratedBody {
  app: string
  frameId: string
  body: string
  messages: number
}

/** What the rows must say of one app and minute. */
export interface Truth {
  requests: number
  failed: number
  serviceSum: number
  bytes: number
}

/** mulberry32: small, seeded, the same everywhere. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Frames `line` as Logplex does. */
export function frame(line: string): string {
  return `${Buffer.byteLength(line)} ${line}`
}

export function routerLine(
  timeMs: number,
  fields: { service: number; connect: number; status: number; bytes: number; dyno?: string },
): string {
  const { service, connect, status, bytes, dyno = 'web.1' } = fields
  return (
    `<158>1 ${new Date(timeMs).toISOString().slice(0, 23)}+00:00 host heroku router - at=info ` +
    `method=GET path="/" host=app.example.com request_id=8601b555 fwd="192.0.2.1" dyno=${dyno} ` +
    `connect=${connect}ms service=${service}ms status=${status} bytes=${bytes} protocol=https\n`
  )
}

/** Four lines of other kinds; their fractions would show a sum that depends on its order. */
function otherSignals(timeMs: number, next: () => number): string {
  const head = (source: string): string =>
    `<45>1 ${new Date(timeMs).toISOString().slice(0, 23)}+00:00 host ${source} - `
  const dyno = `dyno=heroku.1.instance-${Math.floor(next() * 3)}`
  return [
    `${head('heroku web.1')}source=web.1 ${dyno} sample#load_avg_1m=${next().toFixed(2)}\n`,
    `${head('heroku web.1')}source=web.1 ${dyno} sample#memory_rss=${(next() * 512).toFixed(2)}MB\n`,
    `${head('app web.1')}measure#db=${(next() * 50).toFixed(3)}ms count#hits=${next().toFixed(1)}\n`,
    `${head('heroku web.1')}Restarting\n`,
  ]
    .map(frame)
    .join('')
}

/**
 * Bodies of router lines of `apps`, spread over the ten minutes before `endMs`, out of order as
 * several routers are; and what they add up to, by app and minute.
 */
export function generateBodies(
  seed: number,
  options: { apps: string[]; bodies: number; lines: number; endMs: number },
): { bodies: GeneratedBody[]; truth: Map<string, Truth> } {
  const next = random(seed)
  const whole = (below: number): number => Math.floor(next() * below)
  const truth = new Map<string, Truth>()
  const bodies = Array.from({ length: options.bodies }, (_, index): GeneratedBody => {
    const app = options.apps[whole(options.apps.length)] ?? ''
    let body = ''
    for (let i = 0; i < options.lines; i++) {
      const timeMs = options.endMs - 1 - whole(600_000)
      const status = [200, 200, 200, 304, 404, 503][whole(6)] ?? 200
      const service = Math.floor(4 * 1.5 ** (next() * 20))
      const bytes = whole(100_000)
      const dyno = next() < 0.8 ? 'web.1' : 'api.2'
      body += frame(routerLine(timeMs, { service, connect: whole(5), status, bytes, dyno }))
      const key = `${app} ${new Date(timeMs - (timeMs % 60_000)).toISOString()}`
      const sums = truth.get(key) ?? { requests: 0, failed: 0, serviceSum: 0, bytes: 0 }
      truth.set(key, sums)
      sums.requests += 1
      sums.failed += status >= 500 ? 1 : 0
      sums.serviceSum += service
      sums.bytes += bytes
      if (i % 10 === 0) body += otherSignals(timeMs, next)
    }
    const frameId = `F${seed.toString(16)}${index.toString(16).padStart(8, '0')}`
    return { app, frameId, body, messages: options.lines + Math.ceil(options.lines / 10) * 4 }
  })
  return { bodies, truth }
}
