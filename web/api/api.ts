/** The API behind the pages, and its description at /api/openapi.json. */
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Env } from '../context.ts'
import { rangeOf, rangeQuery } from '../range.ts'
import { readApps, refreshApps, SORT_NAMES } from '../read/apps.ts'
import { readSeries } from '../read/signals.ts'
import { finestStepMs } from '../read/truth.ts'
import { readView } from '../view.ts'
import { PROBLEMS, rowRoutes } from './rows.ts'
import { appParam, appRow, rangeParams } from './schemas.ts'

/** What the list of apps is asked for, by page and API alike. */
export const appsQuery = z.object({
  q: z.string().max(64).default(''),
  sort: z.enum(SORT_NAMES).default('requests'),
  order: z.enum(['asc', 'desc']).default('desc'),
  page: z.coerce.number().int().min(1).max(100_000).default(1),
  limit: z.coerce.number().int().min(1).max(500).default(50),
})

const listSchema = z
  .object({
    apps: z.array(appRow),
    total: z.number(),
    asOf: z.iso
      .datetime()
      .nullable()
      .openapi({ description: 'the end of the hour of the figures' }),
    sortedAsOf: z.iso
      .datetime()
      .nullable()
      .openapi({ description: 'the end of that of the order' }),
    nowMs: z.number(),
  })
  .openapi('Apps')

const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
})

export function apiRoutes(): OpenAPIHono<Env> {
  const api = new OpenAPIHono<Env>()

  api.openAPIRegistry.registerPath(
    createRoute({
      method: 'get',
      path: '/api/apps',
      summary: 'The apps, with figures of the last hour',
      request: { query: appsQuery },
      responses: {
        200: json(listSchema, 'A page of them'),
        400: PROBLEMS[400],
        401: PROBLEMS[401],
      },
    }),
  )
  api.get('/api/apps', async (c) => {
    const { q, sort, order, page, limit } = appsQuery.parse(c.req.query())
    await refreshApps(c.env.sql, c.env.inBackground)
    const list = await readApps(c.env.sql, c.get('viewer'), {
      search: q,
      sort,
      isDescending: order === 'desc',
      page,
      pageSize: limit,
    })
    return c.json(list)
  })

  const statusSchema = z
    .object({
      app: z.string(),
      lastAt: z.iso.datetime().nullable(),
      processes: z.array(z.string()),
    })
    .openapi('Status')
  api.openAPIRegistry.registerPath(
    createRoute({
      method: 'get',
      path: '/api/apps/{app}/status',
      summary: 'When its newest message came, and of which process types',
      request: { params: appParam },
      responses: { 200: json(statusSchema, 'Its status'), ...PROBLEMS },
    }),
  )
  api.get('/api/apps/:app/status', (c) => {
    const { lastAtMs, processes } = c.get('facts')
    const lastAt = lastAtMs === null ? null : new Date(lastAtMs).toISOString()
    return c.json({ app: c.req.param('app'), lastAt, processes })
  })

  const anything = z.record(z.string(), z.unknown())
  for (const [path, summary] of [
    ['view', 'All that the page of the app shows, by column'],
    ['series', 'Metrics of language runtimes, add-ons and the app itself'],
  ] as const) {
    api.openAPIRegistry.registerPath(
      createRoute({
        method: 'get',
        path: `/api/apps/{app}/${path}`,
        summary,
        request: { params: appParam, query: rangeParams },
        responses: { 200: json(anything, 'Columns; null is a gap'), ...PROBLEMS },
      }),
    )
  }
  api.get('/api/apps/:app/view', async (c) => {
    const facts = c.get('facts')
    const range = rangeOf(rangeQuery.parse(c.req.query()), facts.nowMs, (sinceMs) =>
      finestStepMs(facts, sinceMs),
    )
    const { process } = rangeParams.parse(c.req.query())
    return c.json(await readView(c.env.sql, c.req.param('app'), range, facts, process))
  })
  api.get('/api/apps/:app/series', async (c) => {
    const facts = c.get('facts')
    const range = rangeOf(rangeQuery.parse(c.req.query()), facts.nowMs, (sinceMs) =>
      finestStepMs(facts, sinceMs),
    )
    const { process } = rangeParams.parse(c.req.query())
    return c.json(await readSeries(c.env.sql, { app: c.req.param('app'), ...range }, process))
  })

  rowRoutes(api)
  api.openAPIRegistry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
  })
  api.doc31('/api/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Shelf',
      version: '1',
      description: 'The numbers of the dashboard. They are those of the SQL functions.',
    },
    security: [{ token: [] }],
  })
  return api
}
