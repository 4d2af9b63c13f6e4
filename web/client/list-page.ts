/** Keeps the list of apps fresh: the same page again, of which the rows are taken. */
import { byId } from './dom.ts'

const REFRESH_MS = 10_000

export function refreshList(): void {
  setInterval(async () => {
    if (document.visibilityState !== 'visible') return
    try {
      const response = await fetch(location.href)
      if (response.redirected) return location.reload()
      if (!response.ok) return
      const page = new DOMParser().parseFromString(await response.text(), 'text/html')
      const [now, fresh] = [byId('apps')?.querySelector('tbody'), page.querySelector('#apps tbody')]
      const focused =
        document.activeElement instanceof HTMLAnchorElement ? document.activeElement.href : ''
      if (now && fresh) now.replaceWith(fresh)
      const asOf = page.querySelector('.as-of')
      if (asOf) document.querySelector('.as-of')?.replaceWith(asOf)
      if (focused !== '' && document.activeElement === document.body) {
        const link = [...document.querySelectorAll<HTMLAnchorElement>('#apps a')].find(
          ({ href }) => href === focused,
        )
        link?.focus()
      }
    } catch {
      // The time that it is of stands above the table.
    }
  }, REFRESH_MS)
}
