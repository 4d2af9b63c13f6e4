/** Rules and incidents in the dashboard. Who may see all apps edits rules; others look. */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { ALL_APPS, type Rule } from '../core/rule.ts'
import { change, deleteRule, findRule, listRules, saveRule } from '../db/rules.ts'
import type { Viewer } from './access.ts'
import type { Env } from './context.ts'
import { alertsPage } from './pages/alerts.ts'
import { problemPage, type Render } from './pages/layout.ts'
import { type RuleState, rulePage } from './pages/rule.ts'
import { readDecidedUntil, readIncidents } from './read/incidents.ts'
import { type Fields, fieldsOf, formSchema, isEdit, ruleOf } from './rule-form.ts'
import { DAYS, tryOn } from './rule-trial.ts'
import { isOwnForm } from './security.ts'

const FORM_BYTES_MAX = 65_536

/** Below what a request may take. */
const TRIAL_MS_MAX = 12_000

const DO = ['mute', 'mute-hour', 'unmute', 'enable', 'disable', 'delete'] as const

const HOUR_MS = 3_600_000

export function alertRoutes(render: Render): Hono<Env> {
  const app = new Hono<Env>()

  app.get('/alerts', async (c) => {
    const { sql } = c.env
    const viewer = c.get('viewer')
    const [incidents, rules, decidedUntil] = await Promise.all([
      readIncidents(sql, viewer),
      listRules(sql),
      readDecidedUntil(sql),
    ])
    const state = { mayEdit: viewer.apps === null, nowMs: Date.now(), decidedUntil }
    const seen = rules.flatMap((rule) => seenBy(viewer, rule) ?? [])
    return c.html(render(c, alertsPage(incidents, seen, state)))
  })

  app.get('/alerts/rule', async (c) => {
    const fields = formSchema.parse(c.req.query())
    const { id } = fields
    const stored = id === undefined ? undefined : await findRule(c.env.sql, id)
    const viewer = c.get('viewer')
    const rule = stored && seenBy(viewer, stored)
    // One that is hidden is as one that is not there.
    if (id && rule === undefined && fields.metric === undefined) return c.notFound()
    const isNew = rule === undefined || (fields.metric !== undefined && !isEdit(fields))
    const given = fields.metric === undefined && rule ? { ...fieldsOf(rule), ...fields } : fields
    const state = await tried(c, given, isNew ? undefined : rule)
    return c.html(render(c, rulePage({ ...state, fields: given, isStored: !isNew })))
  })

  app.post('/alerts/rule', async (c) => {
    const refused = mayPost(c)
    if (refused !== undefined) return refused
    const fields = formSchema.parse(await c.req.parseBody())
    const { sql } = c.env
    const before = fields.id && isEdit(fields) ? await findRule(sql, fields.id) : undefined
    const isStored = before !== undefined
    const again = (problem: string, status: 400 | 409) =>
      c.html(render(c, rulePage({ fields, isStored, mayEdit: true, problem })), status)
    const made = ruleOf(fields, before)
    if ('problem' in made) return again(made.problem, 400)
    const { rule } = made
    let isTaken = false
    await change(sql, async (transaction) => {
      isTaken = !isStored && (await findRule(transaction, rule.id)) !== undefined
      if (!isTaken) await saveRule(transaction, rule)
    })
    if (isTaken) return again(`There is a rule ${rule.id}: edit it, or give this one an id.`, 409)
    return c.redirect('/alerts', 303)
  })

  app.post('/alerts/rules/:id/:do', async (c) => {
    const refused = mayPost(c)
    if (refused !== undefined) return refused
    const what = z.enum(DO).parse(c.req.param('do'))
    const id = c.req.param('id')
    await change(c.env.sql, async (transaction) => {
      const rule = await findRule(transaction, id)
      if (rule === undefined) return
      if (what === 'delete') await deleteRule(transaction, id)
      else await saveRule(transaction, { ...rule, ...changeOf(what) })
    })
    return c.redirect('/alerts', 303)
  })

  /** What is sent from elsewhere, or by who may only look, changes nothing. */
  function mayPost(c: Context<Env>): Response | Promise<Response> | undefined {
    if (!isOwnForm(c.req.raw)) return c.text('this form is sent from its own page only', 403)
    if (!(Number(c.req.header('content-length') ?? Number.NaN) <= FORM_BYTES_MAX)) {
      return c.text('too large', 413)
    }
    if (c.get('viewer').apps === null) return undefined
    const words = 'Rules are edited by who may see all apps.'
    return c.html(render(c, problemPage('Not allowed', words)), 403)
  }
  return app
}

function changeOf(what: Exclude<(typeof DO)[number], 'delete'>): Partial<Rule> {
  switch (what) {
    case 'mute':
      return { mutedUntil: 'forever' }
    case 'mute-hour':
      return { mutedUntil: new Date(Date.now() + HOUR_MS).toISOString() }
    case 'unmute':
      return { mutedUntil: null }
    case 'enable':
    case 'disable':
      return { enabled: what === 'enable' }
  }
}

/** The rule as the viewer may know it: of their apps, and without where it is sent. */
function seenBy({ apps }: Viewer, rule: Rule): Rule | undefined {
  if (apps === null) return rule
  const seen = rule.apps.includes(ALL_APPS) ? apps : rule.apps.filter((app) => apps.includes(app))
  return seen.length === 0 ? undefined : { ...rule, apps: seen, notify: [] }
}

/** When the rule would have fired, if that was asked. */
async function tried(
  c: Context<Env>,
  fields: Fields,
  before: Rule | undefined,
): Promise<Omit<RuleState, 'fields' | 'isStored'>> {
  const viewer = c.get('viewer')
  const mayEdit = viewer.apps === null
  const days = DAYS.find((days) => String(days) === fields.days)
  if (days === undefined) return { mayEdit }
  const made = ruleOf(fields, before)
  if ('problem' in made) return { mayEdit, problem: made.problem }
  const rule = seenBy(viewer, made.rule)
  if (rule === undefined) return { mayEdit, problem: 'There is no such app.' }
  const signal = AbortSignal.timeout(TRIAL_MS_MAX)
  return { mayEdit, trial: await tryOn(c.env.sql, rule, days, signal) }
}
