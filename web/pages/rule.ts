/** A rule as a form; and when it would have fired, before it is switched on. */
import { html } from 'hono/html'
import { METRIC_HELP } from '../../core/metric.ts'
import { OPERATORS, SEVERITIES, WINDOW_MINUTES_MAX } from '../../core/rule.ts'
import type { Fields } from '../rule-form.ts'
import { DAYS, type Told, type Trial } from '../rule-trial.ts'
import { quantityOf, time } from './alerts.ts'
import { age, count } from './format.ts'
import type { Html, Page } from './layout.ts'

export interface RuleState {
  fields: Fields
  isStored: boolean
  mayEdit: boolean
  problem?: string
  trial?: Trial
}

const METRICS = [
  ...['p50', 'p95', 'p99', 'max', 'mean', 'error-rate', 'throughput', 'memory', 'swap', 'load'],
  ...['no-data', 'completeness', 'H12', 'R14', 'L10'],
]

/** Minutes: Heroku's sensitivities, and its intervals of reminders. */
const WINDOW_PRESETS = [1, 5, 10]
const REMINDER_PRESETS = [5, 60, 1440]

/** The strip of incidents: a thousandth of the time a unit. */
const STRIP_WIDTH = 1000
/** So that the shortest is to be seen on a phone. */
const STRIP_BAR_MIN = 3

export function rulePage(state: RuleState): Page {
  const { fields, isStored, problem, trial } = state
  const title = isStored ? `Rule ${fields.id}` : 'A rule'
  return {
    title,
    crumbs: html`<span class="crumb"><a href="/alerts">Alerts</a></span><span class="crumb">${title}</span>`,
    body: html`
<div class="bar"><h1>${title}</h1></div>
${problem === undefined ? '' : html`<p class="problem" role="alert">${problem}</p>`}
${form(state)}
${trial === undefined ? '' : result(trial, fields)}`,
  }
}

function form({ fields, isStored, mayEdit }: RuleState): Html {
  const text = (name: string, words: string, more: Html | string = ''): Html =>
    html`<label>${words} <input name="${name}" value="${fields[name] ?? ''}" ${more}></label>`
  const number = (name: string, words: string, more: Html | string = ''): Html =>
    text(name, words, html`type="number" step="any" ${more}`)
  const minutes = (name: string, words: string, more: Html): Html =>
    text(name, words, html`type="number" ${more}`)
  const presets = (id: string, all: readonly (string | number)[]): Html =>
    html`<datalist id="${id}">${all.map((each) => html`<option value="${each}"></option>`)}</datalist>`
  const choice = (name: string, words: string, all: readonly string[], or: string): Html =>
    html`<label>${words} <select name="${name}">${all.map((each) => html`<option ${(fields[name] ?? or) === each ? 'selected' : ''}>${each}</option>`)}</select></label>`
  return html`<form class="rule" method="get" action="/alerts/rule">
${isStored ? html`<input type="hidden" name="id" value="${fields.id ?? ''}"><input type="hidden" name="edit" value="1">` : text('id', 'Id', html`placeholder="made of the rest"`)}
${text('name', 'Name')}
${text('apps', 'Apps', html`required placeholder="demo, shop; * is all"`)}
${text('process', 'Process type', html`placeholder="all together"`)}
${text('metric', 'Metric', html`required list="metrics" title="${METRIC_HELP}"`)}
${presets('metrics', METRICS)}${presets('windows', WINDOW_PRESETS)}${presets('reminders', REMINDER_PRESETS)}
${choice('operator', 'Operator', OPERATORS, '>=')}
${number('threshold', 'Threshold', html`title="ms, shares (0.05), requests a minute, bytes"`)}
${text('windowMinutes', 'Window, minutes', html`type="number" list="windows" min="1" max="${WINDOW_MINUTES_MAX}" placeholder="5"`)}
${number('minRequests', 'Requests in it, at least', html`min="0" placeholder="0"`)}
${number('recoveryThreshold', 'Recovery threshold', html`placeholder="the threshold"`)}
${minutes('recoveryMinutes', 'Recovery time, minutes', html`min="1" max="${WINDOW_MINUTES_MAX}" placeholder="1"`)}
${minutes('reminderMinutes', 'Reminder every, minutes', html`list="reminders" min="1" max="1440" placeholder="none"`)}
${minutes('deployMuteMinutes', 'Muted after a deploy, minutes', html`min="0" max="${WINDOW_MINUTES_MAX}" placeholder="0"`)}
${choice('severity', 'Severity', SEVERITIES, 'warning')}
${text('notify', 'Notify', html`placeholder="oncall, log:"`)}
${text('playbook', 'Playbook', html`type="url"`)}
<p class="acts">${DAYS.map((days) => html`<button type="submit" name="days" value="${days}">Try on ${days} days</button>`)}
${mayEdit ? html`<button type="submit" class="primary" formmethod="post">${isStored ? 'Save' : 'Switch on'}</button>` : ''}</p>
</form>`
}

function result(trial: Trial, { metric = '' }: Fields): Html {
  const { days, count: found, incidents, firingMs, firstMs, isCut } = trial
  const since =
    firstMs === null
      ? 'There are no rows yet.'
      : html`There are rows from ${time(new Date(firstMs))} on.`
  return html`<section class="alerts" aria-labelledby="trial-title">
<h2 id="trial-title">In the last ${days} days it would have fired ${found === 0 ? 'never' : found === 1 ? 'once' : `${count(found)} times`}${found === 0 ? '' : html`, for ${age(firingMs / 1000)} in all`}</h2>
${isCut ? html`<p class="warn">Not all of it was read: that took too long. Fewer days, or an app alone, may do.</p>` : ''}
${strip(trial)}
<p class="muted">${since} Windows are as long as the rows that are kept, at least; late data is in, silences are not.</p>
${incidents.length === 0 ? '' : table(incidents, metric)}
</section>`
}

function strip({ incidents, sinceMs, untilMs }: Trial): Html {
  const x = (ms: number): number => ((ms - sinceMs) / (untilMs - sinceMs)) * STRIP_WIDTH
  const bars = incidents.map(({ startedMs, endedMs }) => {
    const width = Math.max(STRIP_BAR_MIN, x(endedMs ?? untilMs) - x(startedMs))
    const from = Math.min(x(startedMs), STRIP_WIDTH - width)
    return html`<rect x="${from.toFixed(1)}" y="0" width="${width.toFixed(1)}" height="20"/>`
  })
  return html`<svg class="trial" viewBox="0 0 ${STRIP_WIDTH} 20" preserveAspectRatio="none" role="img" aria-label="When it would have fired, from ${new Date(sinceMs).toISOString().slice(0, 10)} on">${bars}</svg>`
}

function table(incidents: Told[], metric: string): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of what would have fired"><table class="list">
<thead><tr><th scope="col">App</th><th scope="col">From</th><th scope="col">Until</th><th scope="col" class="number">Value</th><th scope="col" class="number">Window</th><th scope="col">Muted</th></tr></thead>
<tbody>${incidents.toReversed().map(
    ({ app, startedMs, endedMs, value, windowMinutes, muted }) => html`<tr>
<th scope="row" class="cut" title="${app}"><a href="/apps/${encodeURIComponent(app)}">${app}</a></th>
<td>${time(new Date(startedMs))}</td><td>${endedMs === null ? 'now' : time(new Date(endedMs))}</td>
<td class="number">${value === null ? '–' : quantityOf(value, metric)}</td><td class="number">${windowMinutes} min</td><td>${muted ?? '–'}</td></tr>`,
  )}</tbody></table></div>`
}
