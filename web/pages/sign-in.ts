/** Where a token is pasted. */
import { html } from 'hono/html'
import type { Page } from './layout.ts'

export interface SignIn {
  /** Where to go on. */
  to: string
  problem?: string
}

export function signInPage({ to, problem }: SignIn): Page {
  return {
    title: 'Sign in',
    body: html`
<section class="plain narrow">
  <h1>Sign in</h1>
  <form method="post" action="/sign-in" class="fields">
    <input type="hidden" name="to" value="${to}">
    <label for="token">Access token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false" ${problem === undefined ? '' : html`aria-describedby="problem" aria-invalid="true"`}>
    ${problem === undefined ? '' : html`<p id="problem" class="problem" role="alert">${problem}</p>`}
    <button type="submit" class="primary">Sign in</button>
  </form>
  <p class="hint"><code>npm start</code> prints one as <code>token</code>. For others: <code>shelf token add --app my-app</code></p>
</section>`,
  }
}
