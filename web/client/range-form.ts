/** The form for any range, beside those that a click away are. */
import type { Address } from './address.ts'
import { byId } from './dom.ts'

export function onRangeForm(address: Address, onChange: () => void): void {
  const form = byId('other-range')
  if (!(form instanceof HTMLFormElement)) return
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const fields = new FormData(form)
    const time = (name: string): number => {
      const text = String(fields.get(name) ?? '')
      return text === '' ? Date.now() : Date.parse(address.isUtc ? `${text}Z` : text)
    }
    const [from, to] = [time('from'), time('to')]
    const field = form.elements.namedItem('from')
    if (!(field instanceof HTMLInputElement)) return
    const isGood = to - from >= 60_000
    field.setCustomValidity(isGood ? '' : 'From is at least a minute before to.')
    field.addEventListener('input', () => field.setCustomValidity(''), { once: true })
    if (!form.reportValidity()) return
    form.closest('details')?.removeAttribute('open')
    address.goTo(from / 1000, to / 1000)
    onChange()
  })
}
