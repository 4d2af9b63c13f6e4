/** Two times of an app beside each other. */
import { html } from 'hono/html'
import { type Comparison, type Period, WINDOW_NAMES, type Window } from '../compare.ts'
import type { ReleaseImpact } from '../read/markers.ts'
import type { Totals } from '../read/requests.ts'
import { count, ms, percent } from './format.ts'
import type { Html, Page } from './layout.ts'

export interface CompareState {
  releases: readonly ReleaseImpact[]
  /** The release that is looked at; undefined: weeks. */
  release: Date | undefined
  window: Window
  isUtc: boolean
}

/** Changes smaller than this are no better or worse: the error of the histograms is 1.083 %. */
const NOTABLE = 0.05
/** Fewer requests say little about percentiles. */
const REQUESTS_MIN = 100
/** Standard errors between two shares that are no accident, nearly always. */
const Z_MIN = 3

interface Figure {
  title: string
  of: (totals: Totals, period: Period) => number | null
  format: (value: number) => string
  /** Whether a change is for better or worse, as far as that can be told. */
  judge: (before: Totals, after: Totals) => 'good' | 'bad' | ''
}

const never = (): '' => ''

/** Longer is worse, where there are enough requests to say so. */
const byTime =
  (key: 'p50' | 'p95' | 'p99' | 'mean') =>
  (before: Totals, after: Totals): 'good' | 'bad' | '' => {
    const [was, is] = [before[key], after[key]]
    if (was === null || is === null) return ''
    const isFew = Math.min(before.timed, after.timed) < REQUESTS_MIN
    if (isFew || Math.abs(is / was - 1) < NOTABLE) return ''
    return is > was ? 'bad' : 'good'
  }

/** More errors are worse, where it is no accident: by the difference of two shares. */
function byErrors(before: Totals, after: Totals): 'good' | 'bad' | '' {
  const [n, m] = [before.requests, after.requests]
  if (n === 0 || m === 0) return ''
  const share = (before.failed + after.failed) / (n + m)
  const error = Math.sqrt(share * (1 - share) * (1 / n + 1 / m))
  const z = error === 0 ? 0 : (after.failed / m - before.failed / n) / error
  return z > Z_MIN ? 'bad' : z < -Z_MIN ? 'good' : ''
}

const FIGURES: Figure[] = [
  {
    title: 'Requests / min',
    of: ({ requests }, { knownMinutes }) => (knownMinutes === 0 ? null : requests / knownMinutes),
    format: count,
    judge: never,
  },
  {
    title: 'Errors',
    of: ({ requests, failed }) => (requests === 0 ? null : failed / requests),
    format: percent,
    judge: byErrors,
  },
  { title: 'p50', of: ({ p50 }) => p50, format: ms, judge: byTime('p50') },
  { title: 'p95', of: ({ p95 }) => p95, format: ms, judge: byTime('p95') },
  { title: 'p99', of: ({ p99 }) => p99, format: ms, judge: byTime('p99') },
  { title: 'max', of: ({ max }) => max, format: ms, judge: never },
  { title: 'mean', of: ({ mean }) => mean, format: ms, judge: byTime('mean') },
]

export function comparePage(comparison: Comparison, state: CompareState): Page {
  const { app, before, after } = comparison
  const path = `/apps/${encodeURIComponent(app)}`
  return {
    title: `${app}: compare`,
    crumbs: html`<span class="crumb"><a href="${path}">${app}</a></span><span class="crumb"><a href="${path}/compare" aria-current="page">Compare</a></span>`,
    data: { page: 'compare', comparison, isUtc: state.isUtc },
    body: html`
<div class="bar">
  <h1>${title(state)}</h1>
  ${
    state.release === undefined
      ? ''
      : html`<nav class="ranges" aria-label="Length">${WINDOW_NAMES.map((window) => html`<a href="${releaseHref(path, state.release, window)}" ${window === state.window ? html`aria-current="true"` : ''}>${window}</a>`)}</nav><a class="tool" href="${path}/compare">This week and last</a>`
  }
</div>
<div class="compare">
<section aria-label="Figures">
<table class="figures">
  <thead><tr><th scope="col"></th>${[before, after].map(({ label, sinceMs, untilMs }) => html`<th scope="col" class="number">${label}<br><time class="muted" datetime="${iso(sinceMs)}" data-until="${iso(untilMs)}">${iso(sinceMs).slice(0, 16).replace('T', ' ')}</time></th>`)}<th scope="col" class="number">Change</th></tr></thead>
  <tbody>${FIGURES.map((figure) => figureRow(figure, before, after))}
    <tr><th scope="row">Requests</th><td class="number">${count(before.totals.requests)}</td><td class="number">${count(after.totals.requests)}</td><td></td></tr>
    <tr><th scope="row">Complete</th>${[before, after].map(({ completeness }) => html`<td class="number ${completeness !== null && completeness < 1 ? 'warn' : ''}">${completeness === null ? 'not known' : percent(completeness)}</td>`)}<td></td></tr>
  </tbody>
</table>
<p class="hint">Percentiles are of all requests of a time merged, at most 1.083 % off nearest rank; max and mean are exact. A change has a colour where it is 5 % or more, of 100 requests or more; that of errors, where it is hardly chance.</p>
</section>
<div id="panels"></div>
</div>
${releaseList(path, state)}`,
  }
}

function title({ release, releases }: CompareState): Html | string {
  if (release === undefined) return 'This week and last'
  const found = releases.find(({ time }) => time.getTime() === release.getTime())
  return html`Before and after ${found === undefined ? 'a release' : html`${found.version ?? found.kind} <span class="muted">${found.text === found.version ? '' : found.text}</span>`}`
}

const iso = (timeMs: number): string => new Date(timeMs).toISOString()

const releaseHref = (path: string, release: Date | undefined, window: string): string =>
  `${path}/compare?${new URLSearchParams({ release: release?.toISOString() ?? '', window })}`

function figureRow({ title, of, format, judge }: Figure, before: Period, after: Period): Html {
  const [was, is] = [of(before.totals, before), of(after.totals, after)]
  const text = (value: number | null): string => (value === null ? '–' : format(value))
  return html`<tr><th scope="row">${title}</th><td class="number">${text(was)}</td><td class="number">${text(is)}</td><td class="number">${change(was, is, judge(before.totals, after.totals))}</td></tr>`
}

function change(was: number | null, is: number | null, kind: string): Html | string {
  if (was === null || is === null || was === is) return '–'
  if (was === 0) return html`<span class="${kind}">from 0</span>`
  const share = is / was - 1
  const words =
    share > 9
      ? `× ${count(Math.round(is / was))}`
      : `${share > 0 ? '+' : '−'}${(Math.abs(share) * 100).toFixed(1)} %`
  return html`<span class="${kind}">${words}</span>`
}

/** `deploy 1a2b3c4`: what is not said already. */
const nameOf = ({ kind, version, text }: ReleaseImpact): string =>
  [version === null ? '' : kind, text === version ? '' : text]
    .filter((part) => part !== '')
    .join(' ')

function releaseList(path: string, { releases, release }: CompareState): Html {
  if (releases.length === 0) return html`<p class="muted">No release in the last 30 days.</p>`
  return html`<section class="releases" aria-labelledby="releases-title">
<h2 id="releases-title">Releases of the last 30 days</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of releases">
<table class="list">
<thead><tr><th scope="col">Release</th><th scope="col">When</th><th scope="col" class="number">p95 before</th><th scope="col" class="number">after</th><th scope="col" class="number">Errors before</th><th scope="col" class="number">after</th></tr></thead>
<tbody>${releases.map(
    (
      each,
    ) => html`<tr ${each.time.getTime() === release?.getTime() ? html`aria-current="true"` : ''}>
<th scope="row" class="cut" title="${each.text}"><a href="${releaseHref(path, each.time, '30m')}">${each.version ?? each.kind}</a> <span class="muted">${nameOf(each)}</span></th>
<td><time datetime="${each.time.toISOString()}">${each.time.toISOString().slice(0, 16).replace('T', ' ')} UTC</time></td>
<td class="number">${each.p95_before === null ? '–' : ms(each.p95_before)}</td><td class="number">${each.p95_after === null ? '–' : ms(each.p95_after)}</td>
<td class="number">${each.error_rate_before === null ? '–' : percent(each.error_rate_before)}</td><td class="number">${each.error_rate_after === null ? '–' : percent(each.error_rate_after)}</td>
</tr>`,
  )}</tbody></table></div></section>`
}
