/** An app: the frame of its charts, which the scripts draw from the data that comes along. */
import { html } from 'hono/html'
import { RANGES } from '../range.ts'
import type { View } from '../view.ts'
import type { Frame, Html, Page } from './layout.ts'

/** What the URL says beside the range. */
export interface AppState {
  isUtc: boolean
  query: URLSearchParams
}

/** What is known of it before its data. */
export function appFrame(app: string): Frame {
  const path = `/apps/${encodeURIComponent(app)}`
  return {
    title: app,
    crumbs: html`<span class="crumb"><a href="${path}" aria-current="page">${app}</a></span>`,
    tools: html`<a class="tool" href="${path}/compare">Compare</a>`,
  }
}

export function appPage(view: View, { isUtc, query }: AppState): Pick<Page, 'body' | 'data'> {
  const { app } = view
  const path = `/apps/${encodeURIComponent(app)}`
  const link = (changes: Record<string, string | null>): string => {
    const next = new URLSearchParams(query)
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) next.delete(name)
      else next.set(name, value)
    }
    return next.size === 0 ? path : `${path}?${next}`
  }
  const ranges = RANGES.map(
    (range) =>
      html`<a href="${link({ range, since: null, until: null })}" data-range="${range}" ${view.relative === range ? html`aria-current="true"` : ''}>${range}</a>`,
  )
  return {
    data: { page: 'app', view, isUtc },
    body: html`
<div class="bar">
  <h1>${app}</h1>
  <nav class="ranges" aria-label="Range">${ranges}
    <details class="other"><summary>Other</summary>
      <form method="get" action="${path}" id="other-range">
        <label>From <input type="datetime-local" name="from" required></label>
        <label>to <input type="datetime-local" name="to"></label>
        <button type="submit">Show</button>
        <p class="hint">Or drag over a chart. Double-click zooms out.</p>
      </form>
    </details>
  </nav>
  ${processes(view, link)}
  <a class="tool" id="zone" data-state="tz=${isUtc ? '' : 'utc'}" href="${link({ tz: isUtc ? null : 'utc' })}">${isUtc ? 'UTC' : 'Local time'}</a>
  <span class="grow"></span>
  <span class="muted csv">CSV: <a href="/api${path}/requests" data-csv>requests</a> <a href="/api${path}/errors" data-csv>errors</a> <a href="/api${path}/memory" data-csv>memory</a></span>
</div>
<div id="banner" role="status"></div>
<div class="readout" id="readout" aria-live="off"></div>
<div id="panels"></div>
<section id="metrics" aria-label="Language runtime and custom metrics"></section>
<section id="losses" aria-label="What is missing"></section>
<noscript><p class="plain">Charts are drawn by scripts. The same numbers: <a href="/api${path}/requests?format=csv">CSV</a>.</p></noscript>`,
  }
}

function processes(
  { process, processes }: View,
  link: (changes: Record<string, string | null>) => string,
): Html {
  const isHidden = processes.length < 2 && process === null
  const entry = (name: string | null, words: string): Html =>
    html`<a href="${link({ process: name })}" data-state="process=${name ?? ''}" ${process === name ? html`aria-current="true"` : ''}>${words}</a>`
  return html`<nav class="ranges" aria-label="Process type" id="processes" ${isHidden ? 'hidden' : ''}>${entry(null, 'all')}${processes.map((name) => entry(name, name))}</nav>`
}
