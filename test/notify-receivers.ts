/** Those who are notified: real servers on this machine; and records of check for them. */
import { SMTPServer } from 'smtp-server'
import type { CheckResult } from '../core/check-result.ts'

export interface Received {
  path: string
  headers: Record<string, string>
  body: string
  atMs: number
}

type Answer = (request: Received, count: number) => Response | Promise<Response>

/** An HTTP server that keeps what it gets. */
export function httpReceiver(answer: Answer = () => new Response('ok')) {
  const received: Received[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    // A receiver that hangs is the sender's to give up on.
    idleTimeout: 0,
    async fetch(request) {
      const { pathname: path, search } = new URL(request.url)
      const headers = Object.fromEntries(request.headers)
      const got = { path: path + search, headers, body: await request.text(), atMs: Date.now() }
      received.push(got)
      return await answer(got, received.length)
    },
  })
  return { received, url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) }
}

export interface Mail {
  from: string
  to: string[]
  text: string
}

/** An SMTP server that keeps what it gets; `refuse` answers to a recipient. */
export async function smtpReceiver(refuse?: (recipient: string) => Error | undefined) {
  const mails: Mail[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo({ address }, _session, done) {
      done(refuse?.(address) ?? null)
    },
    onData(stream, { envelope }, done) {
      let text = ''
      stream.on('data', (chunk) => {
        text += String(chunk)
      })
      stream.on('end', () => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), text })
        done()
      })
    },
  })
  server.on('error', () => {})
  const listening = Promise.withResolvers<number>()
  const socket = server.listen(0, '127.0.0.1', () => {
    const address = socket.address()
    listening.resolve(typeof address === 'object' && address !== null ? address.port : 0)
  })
  const url = `smtp://127.0.0.1:${await listening.promise}`
  return { mails, url, stop: () => new Promise<void>((done) => server.close(done)) }
}

/** Minutes of the stories told here; log time is near now, as it is where check runs. */
const BEGIN_MS = Math.floor(Date.now() / 60_000) * 60_000 - 600_000

export const minute = (number: number): string => new Date(BEGIN_MS + number * 60_000).toISOString()

/** What check writes of rule `slow` when an app's state changes in a minute. */
export function result(
  app: string,
  state: CheckResult['state'],
  atMinute: number,
  more: Partial<CheckResult> = {},
): CheckResult {
  const startedAt = minute(more.kind === 'reminder' || state !== 'firing' ? 1 : atMinute)
  return {
    version: 1,
    kind: 'change',
    key: `slow/${app}/${minute(atMinute)}/${more.kind ?? 'change'}`,
    partition: 0,
    at: minute(atMinute),
    rule: 'slow',
    ruleVersion: 1,
    name: 'p95 over 1 s',
    app,
    process: 'web',
    metric: 'p95',
    source: null,
    operator: '>=',
    threshold: 1000,
    severity: 'critical',
    playbook: 'https://example.com/playbooks/slow',
    notify: ['oncall'],
    state,
    previous: state === 'firing' ? 'ok' : 'firing',
    value: state === 'firing' ? 1234 : 210,
    window: { since: minute(atMinute - 5), until: minute(atMinute) },
    count: 1532,
    completeness: 0.9876,
    incident: `slow/${app}/${startedAt}`,
    startedAt,
    saidAt: startedAt,
    muted: null,
    ...more,
  }
}
