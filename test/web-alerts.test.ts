/** Rules and incidents in the dashboard: who sees what, who edits, and trying on history. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ruleSchema } from '../core/rule.ts'
import { change, listRules, saveRule } from '../db/rules.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import { startWebDatabase, type WebDatabase } from './web-database.ts'

let database: WebDatabase
let server: WebServer

beforeAll(async () => {
  database = await startWebDatabase()
  server = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
  const rules = [
    {
      id: 'slow',
      apps: ['shop'],
      metric: 'p95',
      threshold: 1000,
      notify: ['https://x.example/s3cret'],
      playbook: 'https://wiki.example/slow',
    },
    { id: 'all', apps: ['*'], metric: 'H12', threshold: 5 },
    { id: 'theirs', apps: ['billing'], metric: 'R14', threshold: 1, name: 'billing <b>swaps</b>' },
  ]
  await change(database.sql, async (transaction) => {
    for (const rule of rules) await saveRule(transaction, ruleSchema.parse(rule))
  })
  for (const app of ['shop', 'billing']) {
    const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000)
    await database.sql`insert into shelf.incidents ${database.sql({
      ...{ id: `slow/${app}/1`, app, rule: 'slow', name: `${app} is slow`, metric: 'p95' },
      ...{ operator: '>=', threshold: 1000, severity: 'critical', state: 'firing' },
      ...{ since: minutesAgo(31), started_at: minutesAgo(30), detected_at: minutesAgo(29) },
      first_value: 1234,
    })}`
  }
})
afterAll(async () => {
  await server?.stop()
  await database?.stop()
})

type Who = keyof WebDatabase['tokens']

const headers = (who: Who) => ({ authorization: `Bearer ${database.tokens[who]}` })

const get = async (path: string, who: Who) => {
  const response = await fetch(server.url + path, { headers: headers(who) })
  return { status: response.status, text: await response.text() }
}

const post = async (path: string, who: Who, form: Record<string, string>, more = {}) =>
  await fetch(server.url + path, {
    method: 'POST',
    headers: { 'sec-fetch-site': 'same-origin', ...headers(who), ...more },
    body: new URLSearchParams(form),
    redirect: 'manual',
  })

const stored = async (id: string) => (await listRules(database.sql)).find((rule) => rule.id === id)

describe('alerts', () => {
  test('say up to when rules were checked, and when that stands still', async () => {
    const open = async () => /<p id="open".*?<\/p>/s.exec((await get('/alerts', 'all')).text)?.[0]
    expect(await open()).toContain('No rule was checked yet.')
    const now = new Date()
    const early = new Date(now.getTime() - 3_600_000)
    const words = (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC</time>`
    await database.sql`
      insert into shelf.check_progress (partition, decided_until) values (0, ${now}), (1, null)`
    expect(await open()).toContain(`${words(now)}.</span>`)
    await database.sql`
      update shelf.check_progress set decided_until = ${early} where partition = 1`
    expect(await open()).toContain(`${words(early)}, nothing since: is the worker up?`)
    await database.sql`delete from shelf.check_progress`
  })

  test('are those of the apps that one may see, with their rules, but not where these are sent', async () => {
    const all = (await get('/alerts', 'all')).text
    for (const words of [
      'shop is slow',
      'billing is slow',
      '1.23 s',
      '2 open',
      'https://x.example/…',
    ])
      expect(all).toContain(words)
    expect(all).not.toContain('s3cret')
    expect(all).toContain('billing &lt;b&gt;swaps&lt;/b&gt;')
    const shop = (await get('/alerts', 'shop')).text
    expect(shop).toContain('shop is slow')
    expect(shop).toContain('shop H12')
    expect(shop).toContain('<a href="https://wiki.example/slow" rel="noreferrer">Playbook</a>')
    for (const words of ['billing', 'x.example', 'Mute']) expect(shop).not.toContain(words)
  })

  test('of an app stand on its charts', async () => {
    const { text } = await get('/api/apps/shop/view?range=2h', 'shop')
    const incidents = JSON.parse(text).markers.filter(
      ({ kind }: { kind: string }) => kind === 'incident',
    )
    expect(incidents).toHaveLength(1)
    expect(incidents[0]).toMatchObject({ text: 'shop is slow', detail: { severity: 'critical' } })
    const rows = JSON.parse((await get('/api/apps/shop/incidents?range=2h', 'shop')).text)
    expect(rows).toMatchObject([{ rule: 'slow', ended_at: null, seconds_to_detect: 120 }])
    expect((await get('/api/apps/billing/incidents?range=2h', 'shop')).status).toBe(404)
  })
})

describe('a rule', () => {
  const form = {
    apps: 'shop',
    metric: 'throughput',
    operator: '>=',
    threshold: '1',
    windowMinutes: '5',
  }

  test('is tried on history before it is switched on, by who may see its app', async () => {
    const query = new URLSearchParams({ ...form, days: '7' })
    const shop = await get(`/alerts/rule?${query}`, 'shop')
    expect(shop.text).toContain('In the last 7 days it would have fired once')
    expect((await get(`/alerts/rule?${query}`, 'billing')).text).toContain('There is no such app')
    const never = new URLSearchParams({ ...form, threshold: '1e9', days: '30' })
    expect((await get(`/alerts/rule?${never}`, 'all')).text).toContain('it would have fired never')
    const wrong = new URLSearchParams({ ...form, metric: 'p101', days: '7' })
    expect((await get(`/alerts/rule?${wrong}`, 'all')).text).toContain('a metric is p50')
  })

  test('is shown to who may see an app of it; to others it is not there', async () => {
    expect((await get('/alerts/rule?id=slow', 'all')).text).toContain('s3cret')
    expect((await get('/alerts/rule?id=slow', 'shop')).text).not.toContain('s3cret')
    const hidden = await get('/alerts/rule?id=theirs', 'shop')
    expect(hidden.status).toBe(404)
    expect(hidden).toEqual(await get('/alerts/rule?id=nobodys', 'shop'))
    const tried = (id: string) =>
      get(`/alerts/rule?${new URLSearchParams({ apps: 'shop', metric: 'p95', id })}`, 'shop')
    const words = (text: string) => text.replaceAll(/theirs|nobodys/g, '')
    expect(words((await tried('theirs')).text)).toBe(words((await tried('nobodys')).text))
  })

  test('is made, edited, muted, switched off and deleted by who may see all apps', async () => {
    const made = await post('/alerts/rule', 'all', { ...form, id: 'busy', notify: 'oncall' })
    expect([made.status, made.headers.get('location')]).toEqual([303, '/alerts'])
    expect(await stored('busy')).toMatchObject({ threshold: 1, notify: ['oncall'], enabled: true })
    const edit = { ...form, id: 'busy', edit: '1', threshold: '2', notify: '' }
    expect((await post('/alerts/rule', 'all', edit)).status).toBe(303)
    expect(await stored('busy')).toMatchObject({ threshold: 2, notify: [] })
    for (const [what, after] of [
      ['mute', { mutedUntil: 'forever' }],
      ['unmute', { mutedUntil: null }],
      ['disable', { enabled: false }],
      ['enable', { enabled: true }],
    ] as const) {
      expect((await post(`/alerts/rules/busy/${what}`, 'all', {})).status).toBe(303)
      expect(await stored('busy')).toMatchObject(after)
    }
    const bad = await post('/alerts/rule', 'all', { ...edit, notify: 'http://10.0.0.1/' })
    expect([bad.status, await bad.text()]).toEqual([400, expect.stringContaining('use https://')])
    expect((await post('/alerts/rules/busy/delete', 'all', {})).status).toBe(303)
    expect(await stored('busy')).toBeUndefined()
  })

  test('that is new takes the place of none, by its id or by one that was made for it', async () => {
    expect((await post('/alerts/rule', 'all', form)).status).toBe(303)
    expect((await post('/alerts/rules/shop-throughput/mute', 'all', {})).status).toBe(303)
    const before = await stored('shop-throughput')
    for (const id of ['', 'shop-throughput']) {
      const second = await post('/alerts/rule', 'all', { ...form, id, threshold: '9' })
      const words = expect.stringContaining('There is a rule shop-throughput')
      expect([second.status, await second.text()]).toEqual([409, words])
    }
    // To have tried it does not make it that rule either.
    const query = new URLSearchParams({ ...form, id: 'shop-throughput', days: '7' })
    expect((await get(`/alerts/rule?${query}`, 'all')).text).toContain('Switch on')
    expect(await stored('shop-throughput')).toEqual(before)
    expect((await post('/alerts/rules/shop-throughput/delete', 'all', {})).status).toBe(303)
  })

  test('is changed by nobody else, and by no form from elsewhere', async () => {
    expect((await post('/alerts/rules/slow/delete', 'shop', {})).status).toBe(403)
    expect((await post('/alerts/rule', 'shop', { ...form, id: 'x' })).status).toBe(403)
    const cross = { 'sec-fetch-site': 'cross-site' }
    expect((await post('/alerts/rules/slow/delete', 'all', {}, cross)).status).toBe(403)
    expect((await post('/alerts/rules/slow/explode', 'all', {})).status).toBe(400)
    expect(await stored('slow')).toBeDefined()
    expect(await stored('x')).toBeUndefined()
  })
})
