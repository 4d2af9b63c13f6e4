/** What fires and what fired, and the rules that say so. */
import { html } from 'hono/html'
import { parseMetric, unitOf } from '../../core/metric.ts'
import { type Rule, summaryOf } from '../../core/rule.ts'
import { showTarget } from '../../notify/target.ts'
import type { Incident } from '../read/incidents.ts'
import { age, bytes, count, ms, percent } from './format.ts'
import type { Html, Page } from './layout.ts'

/** A window is decided some seconds after its end, and each minute one ends. */
const DECIDED_MS_MAX = 4 * 60_000

interface State {
  mayEdit: boolean
  nowMs: number
  /** Up to when windows are decided; null: none ever was. */
  decidedUntil: Date | null
}

export function alertsPage(incidents: Incident[], rules: Rule[], state: State): Page {
  const open = incidents.filter(({ endedAt }) => endedAt === null)
  return {
    title: 'Alerts',
    crumbs: html`<span class="crumb"><a href="/alerts" aria-current="page">Alerts</a></span>`,
    data: { page: 'alerts' },
    body: html`
<div class="bar">
  <h1>Alerts</h1>
  <p id="open" class="${open.length > 0 ? 'bad' : 'muted'}">${open.length === 0 ? 'Nothing fires.' : html`${count(open.length)} open`}${rules.length === 0 ? '' : decided(state)}</p>
  <span class="grow"></span>
  <a class="tool" href="/alerts/rule">${state.mayEdit ? 'New rule' : 'Try a rule'}</a>
</div>
<div id="banner" role="status"></div>
<section class="alerts" id="incidents" aria-labelledby="incidents-title">
<h2 id="incidents-title">Incidents</h2>
${incidents.length === 0 ? html`<p class="muted">None so far.</p>` : incidentTable(incidents, rules, state)}
</section>
<section class="alerts" aria-labelledby="rules-title">
<h2 id="rules-title">Rules</h2>
${rules.length === 0 ? html`<p class="muted">None. <code>shelf rule add</code> makes one, and so does <a href="/alerts/rule">the form</a>.</p>` : ruleTable(rules, state)}
</section>`,
  }
}

/** Calm, and nobody at work, look alike else. */
function decided({ decidedUntil, nowMs }: State): Html {
  if (decidedUntil === null) return html` <span class="warn">No rule was checked yet.</span>`
  const isLate = nowMs - decidedUntil.getTime() > DECIDED_MS_MAX
  const until = html`Checked until ${time(decidedUntil)}`
  if (!isLate) return html` <span class="muted">${until}.</span>`
  return html` <span class="warn">${until}, nothing since: is the worker up?</span>`
}

function incidentTable(incidents: Incident[], rules: Rule[], { nowMs }: State): Html {
  const byId = new Map(rules.map((rule) => [rule.id, rule]))
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of incidents"><table class="list">
<thead><tr><th scope="col">App</th><th scope="col">Rule</th><th scope="col">State</th><th scope="col">Began</th><th scope="col" class="number">Lasted</th><th scope="col" class="number">Known after</th><th scope="col" class="number">Value</th><th scope="col" class="number">Threshold</th></tr></thead>
<tbody>${incidents.map((incident) => incidentRow(incident, byId.get(incident.rule), nowMs))}</tbody></table></div>`
}

function incidentRow(incident: Incident, rule: Rule | undefined, nowMs: number): Html {
  const { app, process, name, severity, state, startedAt, endedAt, muted } = incident
  const lasted = ((endedAt?.getTime() ?? nowMs) - startedAt.getTime()) / 1000
  return html`<tr>
<th scope="row" class="cut" title="${app}"><a href="${appHref(incident, nowMs)}">${app}</a>${process === null ? '' : html` <span class="muted">${process}</span>`}</th>
<td><span class="cut" title="${name}">${rule === undefined ? name : html`<a href="${ruleHref(rule)}">${name}</a>`}</span>${rule?.playbook ? html` <a href="${rule.playbook}" rel="noreferrer">Playbook</a>` : ''}</td>
<td class="${endedAt !== null ? '' : state === 'unknown' ? 'warn' : 'bad'}">${endedAt === null ? state : 'over'} <span class="muted">${severity}${muted === null ? '' : `, muted: ${muted}`}</span></td>
<td>${time(startedAt)}</td>
<td class="number">${age(lasted)}</td>
<td class="number">${age(incident.detectSeconds)}</td>
<td class="number">${incident.firstValue === null ? '–' : quantityOf(incident.firstValue, incident.metric)}</td>
<td class="number">${incident.operator} ${quantityOf(incident.threshold, incident.metric)}</td>
</tr>`
}

const ruleHref = ({ id }: Rule): string => `/alerts/rule?${new URLSearchParams({ id })}`

/** The app around the incident. */
function appHref({ app, since, endedAt }: Incident, nowMs: number): string {
  const spanMs = Math.max((endedAt?.getTime() ?? nowMs) - since.getTime(), 1_800_000)
  const query = new URLSearchParams({
    since: new Date(since.getTime() - spanMs).toISOString(),
    until: new Date(Math.min((endedAt?.getTime() ?? nowMs) + spanMs, nowMs)).toISOString(),
  })
  return `/apps/${encodeURIComponent(app)}?${query}`
}

function ruleTable(rules: Rule[], { mayEdit, nowMs }: State): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of rules"><table class="list">
<thead><tr><th scope="col">Rule</th><th scope="col">Fires where</th><th scope="col">Severity</th><th scope="col">Tells</th><th scope="col">State</th>${mayEdit ? html`<th scope="col">Do</th>` : ''}</tr></thead>
<tbody>${rules.map(
    (rule) => html`<tr>
<th scope="row" class="cut" title="${rule.id}"><a href="${ruleHref(rule)}">${rule.name || rule.id}</a></th>
<td><span class="cut" title="${summaryOf(rule)}">${summaryOf(rule)}</span></td>
<td>${rule.severity}</td>
<td>${rule.notify.length === 0 ? '–' : rule.notify.map(showTarget).join(', ')}</td>
<td>${stateOf(rule, nowMs)}</td>
${mayEdit ? html`<td><div class="acts">${acts(rule, nowMs)}</div></td>` : ''}
</tr>`,
  )}</tbody></table></div>`
}

function isMuted({ mutedUntil }: Rule, nowMs: number): boolean {
  return mutedUntil === 'forever' || (mutedUntil !== null && Date.parse(mutedUntil) > nowMs)
}

function stateOf(rule: Rule, nowMs: number): Html | string {
  if (!rule.enabled) return html`<span class="muted">off</span>`
  if (!isMuted(rule, nowMs)) return 'on'
  const until =
    rule.mutedUntil === 'forever' ? '' : html` until ${time(new Date(rule.mutedUntil ?? 0))}`
  return html`<span class="warn">muted${until}</span>`
}

function acts(rule: Rule, nowMs: number): Html {
  const act = (what: string, words: string): Html =>
    html`<form method="post" action="/alerts/rules/${encodeURIComponent(rule.id)}/${what}"><button type="submit" class="quiet" aria-label="${words} ${rule.id}">${words}</button></form>`
  const mute = html`${act('mute-hour', 'Mute 1 h')}${act('mute', 'Mute')}`
  return html`${isMuted(rule, nowMs) ? act('unmute', 'Unmute') : mute}${rule.enabled ? act('disable', 'Switch off') : act('enable', 'Switch on')}<details class="sure"><summary aria-label="Delete ${rule.id}">Delete</summary>${act('delete', 'Yes, delete')}</details>`
}

export const time = (at: Date): Html =>
  html`<time datetime="${at.toISOString()}">${at.toISOString().slice(0, 16).replace('T', ' ')} UTC</time>`

/** A value in the unit of a metric. */
export function quantityOf(value: number, metric: string): string {
  const parsed = parseMetric(metric)
  switch (parsed === undefined ? '' : unitOf(parsed)) {
    case 'ms':
      return ms(value)
    case 'share':
      return percent(value)
    case 'bytes':
      return bytes(value)
    default:
      return count(value)
  }
}
