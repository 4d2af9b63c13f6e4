/** Keeps a page of lists fresh: the same page again, of which the parts are taken. */
import { byId, el } from './dom.ts'
import { clock } from './time.ts'

const REFRESH_MS = 10_000
/** After this long the page says that it is not fresh, ms. */
const ASK_MS_MAX = 20_000

/** @param parts selectors of what is taken from the page as it is now */
export function refreshParts(parts: readonly string[]): void {
  let freshAtMs = Date.now()
  const refresh = async (): Promise<void> => {
    if (document.visibilityState !== 'visible') return
    try {
      const page = await askAgain()
      if (page !== undefined) take(page, parts)
      freshAtMs = Date.now()
      say('')
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      say(`Not fresh since ${clock(freshAtMs / 1000)}: ${words}`)
    }
  }
  const refreshLater = (): void => {
    setTimeout(() => void refresh().finally(refreshLater), REFRESH_MS)
  }
  refreshLater()
  document.addEventListener('visibilitychange', () => void refresh())
}

/** @throws Error with words for a person */
async function askAgain(): Promise<Document | undefined> {
  const response = await fetch(location.href, { signal: AbortSignal.timeout(ASK_MS_MAX) }).catch(
    () => {
      throw new Error('the dashboard can’t be reached')
    },
  )
  // The token was revoked, or the cookie is gone.
  if (response.redirected) {
    location.reload()
    return undefined
  }
  const page = new DOMParser().parseFromString(await response.text(), 'text/html')
  if (response.ok) return page
  throw new Error(page.querySelector('.plain p')?.textContent ?? 'the dashboard did not answer')
}

function take(page: Document, parts: readonly string[]): void {
  const { activeElement } = document
  const focused = activeElement instanceof HTMLAnchorElement ? activeElement.href : ''
  for (const part of parts) {
    const [now, fresh] = [document.querySelector(part), page.querySelector(part)]
    if (now && fresh) now.replaceWith(fresh)
  }
  if (focused === '' || document.activeElement !== document.body) return
  const links = [...document.querySelectorAll<HTMLAnchorElement>('main a')]
  links.find(({ href }) => href === focused)?.focus()
}

function say(words: string): void {
  const banner = byId('banner')
  if (banner === null || banner.textContent === words) return
  banner.replaceChildren(words === '' ? '' : el('p', { class: 'banner' }, words))
}
