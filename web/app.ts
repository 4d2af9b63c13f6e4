/**
 * The dashboard and its API. It knows no runtime: SQL, and what else differs, come with each
 * request (see context.ts).
 */
import { type Context, Hono } from 'hono'
import { compress } from 'hono/compress'
import { createMiddleware } from 'hono/factory'
import * as z from 'zod'
import { appNameSchema } from '../core/credential.ts'
import { maySee } from './access.ts'
import { alertRoutes } from './alerts.ts'
import { apiRoutes, appsQuery } from './api/api.ts'
import { type Asset, openAssets } from './assets.ts'
import { compareRelease, compareWeeks, WINDOW_NAMES } from './compare.ts'
import type { Env } from './context.ts'
import { inTime, SILENT_MS_MAX } from './deadline.ts'
import { appFrame, appPage } from './pages/app.ts'
import { appsPage } from './pages/apps.ts'
import { comparePage } from './pages/compare.ts'
import { type Page, problemPage, renderer, streamed } from './pages/layout.ts'
import { startPage } from './pages/start.ts'
import { rangeOf, rangeQuery } from './range.ts'
import { readApps, refreshApps } from './read/apps.ts'
import { readReleases } from './read/markers.ts'
import { finestStepMs, readFacts } from './read/truth.ts'
import { securityHeaders } from './security.ts'
import { signedIn, signInRoutes } from './sign-in.ts'
import { readView } from './view.ts'

const RELEASES_MS = 30 * 86_400_000

/**
 * invalid_parameter_value, with which our functions refuse and say what would do; and
 * character_not_in_repertoire: PostgreSQL has no text with a zero byte in it.
 */
const REFUSALS = new Set(['22023', '22021'])

/** query_canceled: it took longer than it may. */
const STATEMENT_TIMEOUT = '57014'

/** What is asked for again and again, or large. */
const PACKED = ['/', '/apps/:app/compare', '/api/*']

const stateQuery = z.object({
  process: z.string().max(64).optional(),
  tz: z.enum(['utc', 'local']).optional(),
})

const compareQuery = z.object({
  release: z.iso.datetime({ offset: true }).optional(),
  window: z.enum(WINDOW_NAMES).default('30m'),
})

export interface WebOptions {
  /** Whether answers of the API are packed here, as the runtime does not. */
  isPacking: boolean
  /** How long PostgreSQL may be silent, ms. Default 15 s. */
  silentMs?: number
}

export function webApp(
  assets: readonly Asset[],
  { isPacking, silentMs = SILENT_MS_MAX }: WebOptions,
): Hono<Env> {
  const { url, routes } = openAssets(assets)
  const render = renderer({ url, routes })
  const page = (c: Context<Env>, content: Page) => c.html(render(c, content))
  const app = new Hono<Env>()

  app.use(securityHeaders)
  app.route('/', routes)
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/favicon.ico', (c) => c.redirect(url('icon.svg')))
  app.get('/robots.txt', (c) => c.text('User-agent: *\nDisallow: /\n'))
  // What comes after the headers, as the body of a streamed page, has a deadline of its own.
  app.use(async (c, next) => inTime(next(), c.env.reconnect, silentMs))
  app.route('/', signInRoutes(render))
  app.use(signedIn)
  // Cloudflare packs by itself. A page that is streamed is not packed: its head would wait.
  if (isPacking) for (const path of PACKED) app.use(path, compress())
  app.use('/apps/:app/*', appSeen)
  app.use('/api/apps/:app/*', appSeen)

  app.get('/', async (c) => {
    const { q, sort, order, page: number, limit } = appsQuery.parse(c.req.query())
    const query = { search: q, sort, isDescending: order === 'desc', page: number, pageSize: limit }
    await refreshApps(c.env.sql, c.env.inBackground)
    const viewer = c.get('viewer')
    const only = viewer.apps?.length === 1 ? viewer.apps[0] : undefined
    return page(c, appsPage(await readApps(c.env.sql, viewer, query), query, only))
  })

  app.get('/apps/:app', async (c) => {
    const name = c.req.param('app')
    const facts = c.get('facts')
    if (facts.lastAtMs === null) return page(c, startPage(name))
    const { process, tz } = stateQuery.parse(c.req.query())
    const range = rangeOf(rangeQuery.parse(c.req.query()), facts.nowMs, (sinceMs) =>
      finestStepMs(facts, sinceMs),
    )
    const query = new URLSearchParams(new URL(c.req.url).search)
    return streamed(c, render, appFrame(name), async () => {
      try {
        const view = await inTime(
          readView(c.env.sql, name, range, facts, process),
          c.env.reconnect,
          silentMs,
        )
        return appPage(view, { isUtc: tz === 'utc', query })
      } catch (error) {
        const { title, words } = problemOf(error)
        return problemPage(title, words)
      }
    })
  })

  app.get('/apps/:app/compare', async (c) => {
    const name = c.req.param('app')
    const facts = c.get('facts')
    const { release, window } = compareQuery.parse(c.req.query())
    const { tz } = stateQuery.parse(c.req.query())
    const releaseMs = release === undefined ? undefined : Date.parse(release)
    const least = (backMs: number): number => finestStepMs(facts, facts.nowMs - backMs)
    const { sql } = c.env
    const [comparison, releases] = await Promise.all([
      releaseMs === undefined
        ? compareWeeks(sql, name, facts.nowMs, least(15 * 86_400_000))
        : compareRelease(
            sql,
            name,
            releaseMs,
            window,
            facts.nowMs,
            finestStepMs(facts, releaseMs - 86_400_000),
          ),
      readReleases(sql, {
        app: name,
        sinceMs: facts.nowMs - RELEASES_MS,
        untilMs: facts.nowMs + 60_000,
      }),
    ])
    const state = {
      releases,
      release: releaseMs === undefined ? undefined : new Date(releaseMs),
      window,
      isUtc: tz === 'utc',
    }
    return page(c, comparePage(comparison, state))
  })

  app.route('/', alertRoutes(render))
  app.route('/', apiRoutes())

  const refuse = (c: Context<Env>, { status, title, words }: Problem) =>
    c.req.path.startsWith('/api/')
      ? c.json({ error: words, status }, status)
      : c.html(render(c, problemPage(title, words)), status)
  app.notFound((c) =>
    refuse(c, { status: 404, title: 'Not found', words: 'There is nothing here.' }),
  )
  app.onError((error, c) => refuse(c, problemOf(error)))
  return app
}

/** Of an app that the viewer may not see, the answer is that of one that does not exist. */
const appSeen = createMiddleware<Env>(async (c, next) => {
  const name = c.req.param('app') ?? ''
  const viewer = c.get('viewer')
  if (!appNameSchema.safeParse(name).success || !maySee(viewer, name)) return c.notFound()
  const facts = await readFacts(c.env.sql, name)
  // Who was given an app by name knows of it before its first message.
  if (!facts.exists && viewer.apps === null) return c.notFound()
  c.set('facts', facts)
  return await next()
})

/** Connections that fail, as sockets, postgres.js and PostgreSQL itself (class 08, 57) have it. */
const isUnreachable = (code: string): boolean =>
  /^(ECONN|EPIPE|ENOTFOUND|ETIMEDOUT|CONNECT|CONNECTION|08|57P|53300)/.test(code)

interface Problem {
  status: 400 | 404 | 500 | 503
  title: string
  words: string
}

/** What to say of an error. What a viewer can't mend goes to the log. */
function problemOf(error: unknown): Problem {
  if (error instanceof z.ZodError) {
    return {
      status: 400,
      title: 'Not understood',
      words: z.prettifyError(error).replace(/^✖ /gm, ''),
    }
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const message = error instanceof Error ? error.message : String(error)
  if (REFUSALS.has(code)) {
    const hint = error instanceof Error && 'hint' in error ? `: ${error.hint}` : ''
    return { status: 400, title: 'Not understood', words: message + hint }
  }
  if (isUnreachable(code)) {
    console.error(`web: PostgreSQL: ${message}`)
    const words = 'PostgreSQL can’t be reached. Numbers go on being collected meanwhile.'
    return { status: 503, title: 'No database', words }
  }
  if (code === STATEMENT_TIMEOUT) {
    const words = 'This takes PostgreSQL too long. A shorter range may do.'
    return { status: 503, title: 'Too slow', words }
  }
  console.error(error)
  const words = 'Something went wrong. The log of the dashboard says what.'
  return { status: 500, title: 'Failed', words }
}
