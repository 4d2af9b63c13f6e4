/** What all pages have around them. */
import type { Context } from 'hono'
import { getCookie } from 'hono/cookie'
import { html, raw } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import type { Assets } from '../assets.ts'
import type { Env } from '../context.ts'

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>

export interface Page {
  title: string
  /** The way here, behind the name of the product. */
  crumbs?: Html
  /** What stands at the right of the head, before what is always there. */
  tools?: Html
  body: Html
  /** What the scripts of the page begin with. */
  data?: unknown
}

export type Render = (c: Context<Env>, page: Page) => Html

/** Stands where the body of a page comes, in a frame that is sent before it. */
const BODY_PLACE = '<!--body-->'

export type Frame = Pick<Page, 'title' | 'crumbs' | 'tools'>

/**
 * A page of which the frame is sent at once, so that the browser loads scripts and styles while
 * PostgreSQL is asked for the rest.
 * @param bodyOf must not fail: the answer was begun as a good one
 */
export function streamed(
  c: Context<Env>,
  render: Render,
  frame: Frame,
  bodyOf: () => Promise<Pick<Page, 'body' | 'data'>>,
): Response {
  const encoder = new TextEncoder()
  const content = bodyOf()
  // The answer is given before it is whole: what the rest needs is kept until then.
  c.env.inBackground(content)
  const stream = new ReadableStream<Uint8Array>({
    async start(controller) {
      const whole = String(await render(c, { ...frame, body: raw(BODY_PLACE) }))
      const [head = '', foot = ''] = whole.split(BODY_PLACE)
      controller.enqueue(encoder.encode(head))
      const { body, data } = await content
      const block = data === undefined ? '' : jsonBlock(data)
      controller.enqueue(encoder.encode(`${await body}${block}${foot}`))
      controller.close()
    },
  })
  return c.body(stream, 200, { 'content-type': 'text/html; charset=UTF-8' })
}

/** The colours that a person chose; the system's else. Set by the scripts: no secret. */
const THEMES: Record<string, string> = { light: 'light', dark: 'dark' }

export function renderer(assets: Assets): Render {
  return (c, { title, crumbs, tools, body, data }) => {
    const theme = THEMES[getCookie(c, 'shelf-theme') ?? ''] ?? ''
    return html`<!doctype html>
<html lang="en" data-theme="${theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Shelf</title>
<link rel="icon" href="${assets.url('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${assets.url('style.css')}">
<script type="module" src="${assets.url('main.js')}"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="head">
  <nav class="crumbs" aria-label="Where you are">
    <a class="brand" href="/"><span class="mark" aria-hidden="true"></span>Shelf</a>${crumbs ?? ''}
  </nav>
  <div class="tools">
    ${tools ?? ''}
    <button type="button" class="quiet" id="theme" aria-label="Light or dark" title="Light or dark"><span aria-hidden="true">◐</span></button>
    ${
      c.get('viewer') === undefined
        ? ''
        : html`<a class="tool" href="/alerts">Alerts</a><form method="post" action="/sign-out"><button type="submit" class="quiet">Sign out</button></form>`
    }
  </div>
</header>
<main id="main">${body}</main>
${data === undefined ? '' : jsonBlock(data)}
</body>
</html>`
  }
}

/** As text that no markup in it can end. It is data, so the policy on scripts does not forbid it. */
function jsonBlock(data: unknown): HtmlEscapedString {
  const text = JSON.stringify(data).replaceAll('<', '\\u003c')
  return raw(`<script type="application/json" id="data">${text}</script>`)
}

/** The page of an answer that is none: one for all that is not there, or not for this viewer. */
export function problemPage(title: string, words: string): Page {
  return {
    title,
    body: html`<section class="plain"><h1>${title}</h1><p>${words}</p><p><a href="/">All apps</a></p></section>`,
  }
}
