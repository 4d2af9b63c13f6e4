/** Who may see what: tokens, cookies, forms, headers. Through `fetch`, on a real PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { addToken, listTokens, newToken, revokeToken, viewerOf } from '../web/access.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import { shelf } from './stack.ts'
import { startWebDatabase, type WebDatabase } from './web-database.ts'

let database: WebDatabase
let server: WebServer

beforeAll(async () => {
  database = await startWebDatabase()
  server = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await server?.stop()
  await database?.stop()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(server.url + path, { headers, redirect: 'manual' })

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetch(server.url + path, {
    method: 'POST',
    headers: { 'sec-fetch-site': 'same-origin', ...headers },
    body: new URLSearchParams(form),
    redirect: 'manual',
  })

describe('a token', () => {
  test('is kept as a hash only: the database does not hold it', async () => {
    const token = newToken()
    await addToken(database.sql, token, undefined, 'a label')
    const [row] = await database.sql<{ text: string }[]>`
      select string_agg(t::text, ' ') as text from shelf.tokens t`
    expect(row?.text).toContain('a label')
    expect(row?.text).not.toContain(token.slice(6))
    const bytes = Buffer.from(token.slice(6), 'base64url').toString('hex')
    expect(row?.text).not.toContain(bytes)
  })

  test('that was revoked is refused from the next request on', async () => {
    const token = newToken()
    const id = await addToken(database.sql, token, undefined)
    expect((await get('/api/apps', bearer(token))).status).toBe(200)
    expect(await revokeToken(database.sql, id)).toBe(true)
    expect((await get('/api/apps', bearer(token))).status).toBe(401)
    expect((await get('/', { cookie: `shelf=${token}` })).status).toBe(302)
    const listed = await listTokens(database.sql)
    expect(listed.find((each) => each.id === id)?.revokedAt).toBeInstanceOf(Date)
  })

  test('differs in its last bit: no other is taken for it', async () => {
    const token = newToken()
    await addToken(database.sql, token, undefined)
    for (const other of [
      `${token.slice(0, -1)}${token.endsWith('A') ? 'E' : 'A'}`,
      token.slice(0, -1),
      `${token}A`,
      '',
      token.toUpperCase(),
    ]) {
      expect(await viewerOf(database.sql, other)).toBeUndefined()
    }
  })

  test('in a URL opens nothing', async () => {
    const query = new URLSearchParams({
      token: database.tokens.all,
      access_token: database.tokens.all,
    })
    expect((await get(`/api/apps?${query}`)).status).toBe(401)
  })
})

describe('shelf token', () => {
  const run = async (...args: string[]) => {
    const child = shelf(['token', ...args], { DATABASE_URL: database.url })
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ])
    return { out, err, code }
  }

  test('add prints the token as its only line, list never does, and revoke ends it', async () => {
    const added = await run('add', '--app', 'shop,billing', '--label', 'Ada')
    expect(added.out).toMatch(/^shelf_[\w-]{43}\n$/)
    const token = added.out.trim()
    const answer = await (await get('/api/apps', bearer(token))).json()
    expect(answer.apps.map(({ app }: { app: string }) => app).sort()).toEqual(['billing', 'shop'])
    const [, id = ''] = /token (\w+) for shop, billing/.exec(added.err) ?? []
    const listed = await run('list')
    expect(listed.out).toMatch(new RegExp(`^${id}\tshop,billing\tAda\t\\S+\t-$`, 'm'))
    expect(listed.out).not.toContain(token)
    expect((await run('revoke', id)).code).toBe(0)
    expect((await get('/api/apps', bearer(token))).status).toBe(401)
  })

  test('add wants to know for which apps, and takes no name that is none', async () => {
    for (const args of [
      ['add'],
      ['add', '--all', '--app', 'shop'],
      ['add', '--app', 'a b'],
      ['revoke', 'nothing'],
    ]) {
      expect((await run(...args)).code).toBe(2)
    }
    expect(await run('add', '--all', '--dry-run')).toMatchObject({ out: '', code: 0 })
  })
})

describe('signing in', () => {
  test('sets a cookie that scripts and other sites cannot use, Secure behind TLS', async () => {
    const plain = await post('/sign-in', { token: database.tokens.all, to: '/apps/shop' })
    expect(plain.status).toBe(303)
    expect(plain.headers.get('location')).toBe('/apps/shop')
    expect(plain.headers.get('set-cookie')).toMatch(
      /^shelf=shelf_\S+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/,
    )
    const tls = await post(
      '/sign-in',
      { token: database.tokens.all, to: '/' },
      { 'x-forwarded-proto': 'https' },
    )
    expect(tls.headers.get('set-cookie')).toMatch(
      /^__Host-shelf=\S+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    expect(tls.headers.get('strict-transport-security')).toContain('max-age')
  })

  test('leads to pages of ours only', async () => {
    for (const to of [
      '//evil.example/',
      'https://evil.example/',
      '/\\evil.example',
      'javascript:alert(1)',
      '\\\\evil.example',
      '/.//evil.example',
      '/a/..//evil.example',
      '/\t/evil.example',
    ]) {
      const response = await post(
        '/sign-in',
        { token: database.tokens.all, to },
        { 'x-real-ip': to },
      )
      expect(response.headers.get('location')).toBe('/')
    }
  })

  test('is refused where another site sent the form, and so is signing out', async () => {
    const form = { token: database.tokens.all, to: '/' }
    const foreign = [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]
    for (const headers of foreign) {
      expect((await post('/sign-in', form, headers)).status).toBe(403)
      expect((await post('/sign-out', {}, headers)).status).toBe(403)
    }
    const old = await fetch(`${server.url}/sign-in`, {
      method: 'POST',
      headers: { origin: 'https://evil.example' },
      body: new URLSearchParams(form),
    })
    expect(old.status).toBe(403)
  })

  test('has a limit of tries, which says when the next one is, and those who are in stay in', async () => {
    const other = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
    try {
      const attempt = () =>
        fetch(`${other.url}/sign-in`, {
          method: 'POST',
          headers: { 'sec-fetch-site': 'same-origin' },
          body: new URLSearchParams({ token: newToken(), to: '/' }),
          redirect: 'manual',
        })
      const statuses: number[] = []
      for (let i = 0; i < 11; i++) statuses.push((await attempt()).status)
      expect(statuses).toEqual([...Array(10).fill(401), 429])
      const refused = await attempt()
      expect(Number(refused.headers.get('retry-after'))).toBeWithin(1, 61)
      const inside = await fetch(`${other.url}/api/apps`, { headers: bearer(database.tokens.all) })
      expect(inside.status).toBe(200)
    } finally {
      await other.stop()
    }
  })
})

describe('what a viewer may not see', () => {
  test('is answered, page and API, as what does not exist: status, headers and body', async () => {
    const answer = async (path: string) => {
      const response = await get(path, bearer(database.tokens.billing))
      const headers = [...response.headers].filter(([name]) => name !== 'date')
      return { status: response.status, headers, body: await response.text() }
    }
    const parts = ['', '/compare', '/nothing']
    const apiParts = [
      'view',
      'series',
      'status',
      'requests',
      'errors',
      'memory',
      'markers',
      'releases',
      'completeness',
      'gauges?name=x',
      'counters?name=x',
      'histograms?name=x',
      'incidents',
      'requests?format=csv',
      'nothing',
    ]
    for (const part of parts) {
      const hidden = await answer(`/apps/shop${part}`)
      expect(hidden.status).toBe(404)
      expect(hidden).toEqual(await answer(`/apps/no-such-app${part}`))
    }
    for (const part of apiParts) {
      const hidden = await answer(`/api/apps/shop/${part}`)
      expect(hidden.status).toBe(404)
      expect(hidden).toEqual(await answer(`/api/apps/no-such-app/${part}`))
    }
  })

  test('is in no list and no search, and is not counted', async () => {
    for (const query of ['', '?q=shop', '?q=%25', '?q=_']) {
      const list = await (await get(`/api/apps${query}`, bearer(database.tokens.billing))).json()
      expect(JSON.stringify(list)).not.toContain('shop')
      expect(list.total).toBeLessThanOrEqual(1)
    }
  })
})

describe('every answer', () => {
  test('forbids inline and foreign code, framing and keeping', async () => {
    for (const path of ['/sign-in', '/', '/apps/shop', '/api/apps', '/nothing']) {
      const response = await get(path, bearer(database.tokens.all))
      const policy = response.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("script-src 'self'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(response.headers.get('x-content-type-options')).toBe('nosniff')
      expect(response.headers.get('cache-control')).toBe('no-store')
    }
  })

  test('without a token is a refusal: a redirect for pages, 401 for the API', async () => {
    expect((await get('/')).status).toBe(302)
    expect((await get('/apps/shop?range=2h')).headers.get('location')).toBe(
      '/sign-in?to=%2Fapps%2Fshop%3Frange%3D2h',
    )
    expect((await get('/api/apps')).status).toBe(401)
    expect((await get('/api/openapi.json')).status).toBe(401)
    expect((await get('/healthz')).status).toBe(200)
  })

  test('is text where a log brought markup into it', async () => {
    const markup = '</script><img src=x onerror=alert(1)>'
    await database.sql`
      insert into shelf.marker_lines (app, time, kind, text)
      values ('shop', now() - interval '30 minutes', 'deploy', ${markup})`
    const page = await (await get('/apps/shop', bearer(database.tokens.all))).text()
    expect(page).toContain('\\u003c/script>')
    expect(page).not.toContain(markup)
    const compare = await (await get('/apps/shop/compare', bearer(database.tokens.all))).text()
    expect(compare).not.toContain('<img src=x')
    const search = await (
      await get(`/?q=${encodeURIComponent(markup)}`, bearer(database.tokens.all))
    ).text()
    expect(search).not.toContain('<img src=x')
  })
})
