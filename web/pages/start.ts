/** Before the first data: what to paste, and a page that turns live by itself. */
import { html } from 'hono/html'
import type { Html, Page } from './layout.ts'

export function startPage(app: string): Page {
  return {
    title: app,
    crumbs: html`<span class="crumb">${app}</span>`,
    body: startBody(app),
    data: { page: 'start', app },
  }
}

/** @param app that has a drain, or a name to take in the command */
export function startBody(app = 'my-app'): Html {
  return html`
<section class="plain start">
  <h1>No data yet</h1>
  <p class="live" role="status"><span class="dot waiting" aria-hidden="true"></span>Waiting for the first burst. This page turns live by itself.</p>
  <h2>Send an app’s log</h2>
  <p>Where your Heroku app can reach the edge:</p>
  <pre tabindex="0" aria-label="Command that adds a drain"><code>heroku drains:add "$(npm run -s shelf -- drain add ${app})" -a ${app}</code></pre>
  <p>For memory and load: <code>heroku labs:enable log-runtime-metrics -a ${app}</code>, then restart it.</p>
  <h2>Or have a look first</h2>
  <p>A lifelike app sends its log to this machine, with a deploy after a minute, and trouble after it:</p>
  <pre tabindex="0" aria-label="Command that starts the demo"><code>npm run -s shelf -- demo</code></pre>
</section>`
}
