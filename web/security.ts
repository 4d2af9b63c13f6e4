/** Headers that say what a page may do, and that nobody keeps or frames it. */
import { createMiddleware } from 'hono/factory'
import type { Env } from './context.ts'

/** Nothing from elsewhere, nothing inline: what an app's log brought into a page is text. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Two years, as hstspreload.org wants it. */
const HSTS = 'max-age=63072000'

export const securityHeaders = createMiddleware<Env>(async (c, next) => {
  await next()
  c.header('content-security-policy', CONTENT_SECURITY_POLICY)
  c.header('x-content-type-options', 'nosniff')
  // With no-referrer a form of ours would come with `Origin: null`: see isOwnForm.
  c.header('referrer-policy', 'same-origin')
  c.header('cross-origin-opener-policy', 'same-origin')
  c.header('cross-origin-resource-policy', 'same-origin')
  c.header('permissions-policy', 'camera=(), geolocation=(), microphone=()')
  if (isHttps(c.req.raw)) c.header('strict-transport-security', HSTS)
  if (!c.res.headers.has('cache-control')) c.header('cache-control', 'no-store')
})

/** Whether the browser sees https: behind a proxy that speaks it, the proxy says so. */
export function isHttps(request: Request): boolean {
  return (
    new URL(request.url).protocol === 'https:' ||
    request.headers.get('x-forwarded-proto') === 'https'
  )
}

/**
 * Whether a form was sent by a page of ours. Browsers say so themselves; old ones send the Origin
 * only. What sends neither is no browser, and has no cookie that somebody else could use.
 */
export function isOwnForm(request: Request): boolean {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin'
  const origin = request.headers.get('origin')
  return origin === null || URL.parse(origin)?.host === request.headers.get('host')
}
