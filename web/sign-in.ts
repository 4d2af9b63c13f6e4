/** Signing in: the token comes once, by a form, and then in a cookie that scripts can't read. */
import { type Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { createMiddleware } from 'hono/factory'
import { viewerOf } from './access.ts'
import type { Env } from './context.ts'
import type { Render } from './pages/layout.ts'
import { signInPage } from './pages/sign-in.ts'
import { isHttps, isOwnForm } from './security.ts'
import { Tries } from './tries.ts'

/** A month: then the token has to be pasted again. */
const COOKIE_SECONDS = 30 * 24 * 3600
/** A token has 49 characters. */
const FORM_BYTES_MAX = 4096

/** With https the browser itself sees to it that no other host or path has set it. */
const cookieName = (c: Context): string => (isHttps(c.req.raw) ? '__Host-shelf' : 'shelf')

/** Lets nobody pass whose token, by cookie or as Bearer, is not valid. */
export const signedIn = createMiddleware<Env>(async (c, next) => {
  const [, bearer] = /^bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '') ?? []
  const token = bearer ?? getCookie(c, cookieName(c))
  const viewer = token === undefined ? undefined : await viewerOf(c.env.sql, token)
  if (viewer === undefined) return refused(c)
  c.set('viewer', viewer)
  return await next()
})

function refused(c: Context<Env>): Response {
  const { pathname, search } = new URL(c.req.url)
  if (pathname.startsWith('/api/')) {
    c.header('www-authenticate', 'Bearer')
    return c.json({ error: 'sign in: Authorization: Bearer TOKEN', status: 401 }, 401)
  }
  const query =
    pathname === '/' && search === '' ? '' : `?${new URLSearchParams({ to: pathname + search })}`
  return c.redirect(`/sign-in${query}`)
}

export function signInRoutes(render: Render): Hono<Env> {
  const tries = new Tries()
  const app = new Hono<Env>()

  app.get('/sign-in', (c) => c.html(render(c, signInPage({ to: ownPath(c.req.query('to')) }))))

  app.post('/sign-in', async (c) => {
    if (!isOwnForm(c.req.raw)) return c.text('this form is sent from its own page only', 403)
    const waitSeconds = tries.take(c.env.peer, Date.now())
    if (waitSeconds > 0) {
      c.header('retry-after', String(waitSeconds))
      const problem = `Too many tries. The next one is in ${waitSeconds} seconds.`
      return c.html(render(c, signInPage({ to: '/', problem })), 429)
    }
    // Browsers say how long a form is.
    if (!(Number(c.req.header('content-length') ?? Number.NaN) <= FORM_BYTES_MAX)) {
      return c.text('too large', 413)
    }
    const form = await c.req.parseBody()
    const token = String(form.token ?? '').trim()
    const to = ownPath(String(form.to ?? ''))
    const viewer = await viewerOf(c.env.sql, token)
    if (viewer === undefined) {
      const problem = 'This token is not valid, or was revoked.'
      return c.html(render(c, signInPage({ to, problem })), 401)
    }
    tries.giveBack(c.env.peer)
    setCookie(c, cookieName(c), token, {
      httpOnly: true,
      // Links from a chat lead to what they show; what changes something is no link.
      sameSite: 'Lax',
      secure: isHttps(c.req.raw),
      path: '/',
      maxAge: COOKIE_SECONDS,
    })
    return c.redirect(to, 303)
  })

  app.post('/sign-out', (c) => {
    if (!isOwnForm(c.req.raw)) return c.text('this form is sent from its own page only', 403)
    deleteCookie(c, cookieName(c), { path: '/', secure: isHttps(c.req.raw) })
    return c.redirect('/sign-in', 303)
  })
  return app
}

/** A path of ours; anything else, as a page elsewhere, is the first page. */
function ownPath(to = '/'): string {
  const url = URL.parse(to, 'http://shelf.invalid')
  if (url?.host !== 'shelf.invalid' || !/^\/(?![/\\])/.test(to)) return '/'
  const path = url.pathname + url.search
  // What /.//evil.example comes to is another host, where it is read once more.
  return path.startsWith('//') ? '/' : path
}
