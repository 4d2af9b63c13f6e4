/** Links that change one thing of what is shown: the rest is as the address has it when they are followed. */
import type { View } from '../view.ts'
import type { Address } from './address.ts'
import { byId, el } from './dom.ts'

/** `<a data-state="process=web">`; without a value it is taken out. */
export function onStateLinks(address: Address): void {
  document.addEventListener('click', ({ target }) => {
    const link = target instanceof Element ? target.closest('a[data-state]') : null
    if (!(link instanceof HTMLAnchorElement)) return
    const [name = '', value = ''] = link.dataset.state?.split('=') ?? []
    link.href = address.with(name, value === '' ? null : value)
  })
}

/** Of an app more process types may be known than when its page was made. */
export function addProcessLinks({ processes }: View): void {
  const nav = byId('processes')
  if (nav === null) return
  const known = new Set([...nav.querySelectorAll('a')].map(({ textContent }) => textContent))
  for (const name of processes) {
    if (!known.has(name)) nav.append(el('a', { href: '#', 'data-state': `process=${name}` }, name))
  }
  if (processes.length > 1) nav.hidden = false
}
