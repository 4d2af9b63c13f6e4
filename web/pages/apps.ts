/** The list of apps: one row each, as of the last hour. */
import { html } from 'hono/html'
import type { AppList, AppRow, AppsQuery, Sort } from '../read/apps.ts'
import { age, bytes, count, ms, percent } from './format.ts'
import type { Html, Page } from './layout.ts'
import { startBody } from './start.ts'

const COLUMNS: { sort: Sort; title: string; isText?: boolean; hint?: string }[] = [
  { sort: 'app', title: 'App', isText: true },
  { sort: 'requests', title: 'Requests / min', hint: 'mean of the last hour' },
  { sort: 'p95', title: 'p95', hint: 'service time, of the last 10 minutes' },
  {
    sort: 'errors',
    title: 'Errors',
    hint: '5xx and no status, of all requests of the last 10 minutes',
  },
  { sort: 'memory', title: 'Memory', hint: 'the most a dyno used in 10 minutes, of its quota' },
  { sort: 'deployed', title: 'Last deploy' },
  { sort: 'completeness', title: 'Complete', hint: 'of the messages that were sent' },
  { sort: 'fresh', title: 'Last data' },
]

/** The sparkline: a minute a unit. */
const SPARK_HEIGHT = 24

/** @param only the app that the viewer may see, where it is one */
export function appsPage(list: AppList, query: AppsQuery, only: string | undefined): Page {
  const hasData = list.apps.some(({ lastAt }) => lastAt !== null)
  if (!hasData && query.search === '' && query.page === 1) {
    return { title: 'Get started', body: startBody(only), data: { page: 'start', app: null } }
  }
  const pages = Math.max(1, Math.ceil(list.total / query.pageSize))
  return {
    title: 'Apps',
    data: { page: 'apps' },
    body: html`
<section class="apps" aria-labelledby="apps-title">
  <div class="bar">
    <h1 id="apps-title">Apps <span class="muted">${count(list.total)}</span></h1>
    <form method="get" action="/" role="search" class="search">
      <input type="hidden" name="sort" value="${query.sort}"><input type="hidden" name="order" value="${query.isDescending ? 'desc' : 'asc'}">
      <input type="search" name="q" value="${query.search}" placeholder="Search" aria-label="Search apps by name" id="search">
    </form>
    <p class="muted as-of">${asOf(list)}</p>
  </div>
  <div id="banner" role="status"></div>
  <div class="scroll" tabindex="0" role="region" aria-label="Table of apps">
  <table class="list" id="apps">
    <thead><tr>${COLUMNS.map((column) => heading(column, query))}</tr></thead>
    <tbody>${list.apps.map((app) => row(app, list.nowMs))}</tbody>
  </table>
  </div>
  ${list.total === 0 ? html`<p class="muted">${nothing(query)}</p>` : ''}
  ${pages === 1 ? '' : pager(query, pages)}
</section>`,
  }
}

/** Why there is no row. */
function nothing({ search, page }: AppsQuery): Html | string {
  return page === 1
    ? `No app has “${search}” in its name.`
    : html`There is no page ${page}. <a href="/">The first one</a>.`
}

/** Of when the figures are; and the order, where that is of another minute. */
function asOf({ asOf, sortedAsOf }: AppList): Html | '' {
  if (asOf === null) return ''
  const isSorted = sortedAsOf === null || asOf.getTime() - sortedAsOf.getTime() <= 60_000
  return html`the hour until ${time(asOf)}${isSorted ? '' : html`, in the order of ${time(sortedAsOf)}`}`
}

function heading({ sort, title, isText, hint }: (typeof COLUMNS)[number], query: AppsQuery): Html {
  const isSorted = query.sort === sort
  const order = isSorted ? (query.isDescending ? 'asc' : 'desc') : isText ? 'asc' : 'desc'
  const state = isSorted ? (query.isDescending ? 'descending' : 'ascending') : 'none'
  return html`<th scope="col" class="${isText ? '' : 'number'}" aria-sort="${state}" ${hint === undefined ? '' : html`title="${hint}"`}><a href="${href({ ...query, sort, isDescending: order === 'desc', page: 1 })}">${title}<span class="arrow" aria-hidden="true">${isSorted ? (query.isDescending ? '↓' : '↑') : ''}</span></a></th>`
}

function row(app: AppRow, nowMs: number): Html {
  const { lastAt, deployedAt } = app
  const silentSeconds = lastAt === null ? null : (nowMs - lastAt.getTime()) / 1000
  return html`<tr>
<th scope="row" class="cut" title="${app.app}"><a href="/apps/${encodeURIComponent(app.app)}">${app.app}</a></th>
<td class="number">${sparkline(app.sparkline)}<span class="value">${rate(app)}</span></td>
<td class="number">${app.p95 === null ? '–' : ms(app.p95)}</td>
<td class="number ${app.errorRate === null ? '' : app.errorRate >= 0.01 ? 'bad' : app.errorRate >= 0.001 ? 'warn' : ''}">${app.errorRate === null ? '–' : percent(app.errorRate)}</td>
<td class="number ${(app.memoryShare ?? 0) > 1 ? 'bad' : (app.memoryShare ?? 0) > 0.9 ? 'warn' : ''}">${memory(app)}</td>
<td class="number">${deployedAt === null ? '–' : html`<span class="cut" title="${app.deploy ?? ''}">${app.deploy ?? ''}</span> <span class="muted">${ago(nowMs, deployedAt)}</span>`}</td>
<td class="number ${app.completeness !== null && app.completeness < 1 ? 'warn' : ''}">${app.completeness === null ? '–' : percent(app.completeness)}</td>
<td class="number ${silentSeconds !== null && silentSeconds > 300 ? 'bad' : ''}">${silentSeconds === null ? 'never' : silentSeconds < 90 ? 'now' : html`${age(silentSeconds)} ago`}</td>
</tr>`
}

/** Of the minutes of which there is data. */
function rate({ requests, sparkline }: AppRow): string {
  const known = sparkline.filter((n) => n !== null).length
  return known === 0 ? '–' : count(Math.round((requests / known) * 10) / 10)
}

const memory = ({ memory, memoryShare }: AppRow): Html | string =>
  memory === null
    ? '–'
    : html`${memoryShare === null ? bytes(memory) : html`${percent(Math.round(memoryShare * 100) / 100)} <span class="muted">${bytes(memory)}</span>`}`

const ago = (nowMs: number, at: Date): string => `${age((nowMs - at.getTime()) / 1000)} ago`

const time = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${at.toISOString().slice(11, 16)} UTC</time>`

/** A minute without any message is a gap in the line. */
function sparkline(values: readonly (number | null)[]): Html {
  const most = Math.max(1, ...values.map((value) => value ?? 0))
  const y = (value: number): string =>
    (SPARK_HEIGHT - 1 - (value / most) * (SPARK_HEIGHT - 2)).toFixed(1)
  let path = ''
  values.forEach((value, i) => {
    if (value === null) return
    const isStart = i === 0 || (values[i - 1] ?? null) === null
    path += `${isStart ? 'M' : 'L'}${i} ${y(value)}${isStart ? `h.5` : ''}`
  })
  return html`<svg class="spark" viewBox="0 0 60 ${SPARK_HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path d="${path}"/></svg>`
}

function pager(query: AppsQuery, pages: number): Html {
  const link = (page: number, words: string, rel: string): Html =>
    page < 1 || page > pages
      ? html`<span class="muted">${words}</span>`
      : html`<a href="${href({ ...query, page })}" rel="${rel}">${words}</a>`
  return html`<nav class="pager" aria-label="Pages">${link(query.page - 1, 'Previous', 'prev')} <span>${query.page} of ${pages}</span> ${link(query.page + 1, 'Next', 'next')}</nav>`
}

function href({ search, sort, isDescending, page }: AppsQuery): string {
  const query = new URLSearchParams()
  if (search !== '') query.set('q', search)
  query.set('sort', sort)
  query.set('order', isDescending ? 'desc' : 'asc')
  if (page > 1) query.set('page', String(page))
  return `/?${query}`
}
