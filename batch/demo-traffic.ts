/** Requests to the lifelike app: what is asked for, how long it takes, and the router's line of it. */
import { type DemoLine, PRIORITY } from './demo-line.ts'
import type { Visitor } from './demo-people.ts'
import type { Random } from './demo-random.ts'

const HOST = 'shop.example.com'

/** Something people ask for; times in ms, sizes in bytes. */
interface Route {
  method: string
  path(visitor: Visitor, random: Random): string
  /** Of all requests, 0 to 1. */
  share: number
  medianMs: number
  /** Of the logarithm: 0.5 is steady, 1 is wild. */
  sigma: number
  medianBytes: number
  /** The status that most get, and the share of the others. */
  usual: number
  others: readonly (readonly [status: number, share: number])[]
}

/** What is asked for where it is nothing below. */
const HOME: Route = {
  method: 'GET',
  path: () => '/',
  share: 0.2,
  medianMs: 18,
  sigma: 0.5,
  medianBytes: 14_000,
  usual: 200,
  others: [[304, 0.1]],
}

const ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: (_, random) => `/products/${1 + random.whole(900)}`,
    share: 0.3,
    medianMs: 35,
    sigma: 0.7,
    medianBytes: 22_000,
    usual: 200,
    others: [[404, 0.02]],
  },
  {
    method: 'GET',
    // Heroku does not escape the spaces that a client sends.
    path: (_, random) => `/search?q=blue shoes&page=${1 + random.whole(9)}`,
    share: 0.1,
    medianMs: 110,
    sigma: 0.9,
    medianBytes: 30_000,
    usual: 200,
    others: [[500, 0.004]],
  },
  {
    method: 'GET',
    path: ({ id, query }) => `/u/${id}/orders?${query}`,
    share: 0.12,
    medianMs: 60,
    sigma: 0.7,
    medianBytes: 9000,
    usual: 200,
    others: [[401, 0.03]],
  },
  {
    method: 'POST',
    path: () => '/login',
    share: 0.04,
    medianMs: 240,
    sigma: 0.3,
    medianBytes: 0,
    usual: 302,
    others: [[422, 0.1]],
  },
  {
    method: 'POST',
    path: ({ id }) => `/u/${id}/checkout`,
    share: 0.04,
    medianMs: 420,
    sigma: 0.6,
    medianBytes: 1800,
    usual: 201,
    others: [[500, 0.01]],
  },
  {
    method: 'GET',
    path: () => '/static/app.css',
    share: 0.2,
    medianMs: 2,
    sigma: 0.6,
    medianBytes: 41_000,
    usual: 304,
    others: [[200, 0.3]],
  },
]

const SHARES = ROUTES.map((route) => [route, route.share] as const)

/** A request on its way: who asks, for what, and the answer that it is to get. */
export interface Visit {
  visitor: Visitor
  method: string
  path: string
  requestId: string
  status: number
  serviceMs: number
  bytes: number
}

/** `slowness` multiplies the service time: 1 is an app that has all it needs. */
export function newVisit(visitor: Visitor, random: Random, slowness: number): Visit {
  const { method, path, medianMs, sigma, medianBytes, usual, others } = random.pickByShare(
    SHARES,
    HOME,
  )
  const status = random.pickByShare(others, usual)
  const isBare = status === 304 || status === 302
  return {
    visitor,
    method,
    path: path(visitor, random),
    requestId: random.uuid(),
    status,
    serviceMs: Math.round(random.logNormal(medianMs * slowness, sigma)),
    bytes: isBare ? 0 : Math.round(random.logNormal(medianBytes, 0.4)),
  }
}

/** Requests at that part of a day (0 to 1), relative to its mean: quiet nights, two high tides. */
export function tideOf(dayPart: number): number {
  const turn = 2 * Math.PI * (dayPart - Math.floor(dayPart))
  return 1 - 0.55 * Math.cos(turn - 0.9) + 0.2 * Math.sin(2 * turn)
}

interface ErrorWords {
  desc: string
  /** The status that the client gets, where it is not the app's own. */
  status?: number
  /** Where it is not `error`. */
  at?: string
  sock?: string
}

/** What went wrong, in the router's words. */
const ROUTER_ERRORS = {
  H10: { desc: 'App crashed', status: 503 },
  H12: { desc: 'Request timeout', status: 503 },
  H13: { desc: 'Connection closed without response', status: 503 },
  H18: { desc: 'Server Request Interrupted', sock: 'backend' },
  H27: { desc: 'Client Request Interrupted', sock: 'client', status: 499, at: 'warning' },
  H80: { desc: 'Maintenance mode', status: 503, at: 'info' },
} as const satisfies Record<string, ErrorWords>

export type RouterError = keyof typeof ROUTER_ERRORS

/** How a visit went at a dyno (`web.1`). */
export interface Served {
  dyno: string
  connectMs: number
  serviceMs: number
}

/** The router about a visit. Where no dyno served it, it says so by leaving figures empty. */
export function routerLine(visit: Visit, served?: Served, code?: RouterError): DemoLine {
  const { visitor, method, path, requestId } = visit
  const error: ErrorWords | undefined = code === undefined ? undefined : ROUTER_ERRORS[code]
  const status = error?.status ?? visit.status
  const bytes = error === undefined ? visit.bytes : 0
  const words = [
    ...(error?.sock === undefined ? [] : [`sock=${error.sock}`]),
    error === undefined ? 'at=info' : `at=${error.at ?? 'error'} code=${code} desc="${error.desc}"`,
    `method=${method} path="${path}" host=${HOST} request_id=${requestId} fwd="${visitor.ip}"`,
    served === undefined
      ? `dyno= connect= service= status=${status} bytes=`
      : `dyno=${served.dyno} connect=${served.connectMs}ms service=${served.serviceMs}ms ` +
        `status=${status} bytes=${bytes}`,
    'protocol=http1.1 tls=true tls_version=tls1.3',
  ]
  const figures =
    served === undefined
      ? {}
      : { connectMs: served.connectMs, serviceMs: served.serviceMs, bytes: bytes }
  return {
    priority: PRIORITY.router,
    source: 'heroku',
    process: 'router',
    text: words.join(' '),
    newline: true,
    verdict: 'kept',
    // Where no dyno served it, it was meant for web still.
    request: { process: 'web', status, ...figures, ...(code === undefined ? {} : { code }) },
    points: [],
  }
}
