/** Where requests go, and as whom, from the URL of a setting. */
import { textToBase64 } from './base64.ts'

export interface Target {
  /** Without a slash at its end. */
  base: string
  /** `authorization`, where the URL has a user and a password. */
  headers: { authorization?: string }
}

/**
 * @param text `https://user:password@host/path`, each of user and password percent-encoded
 * @throws Error where it is no such URL; nothing of it is in the message, for it holds a secret
 */
export function targetOf(text: string): Target {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error('it is no http(s) URL')
  if (url.search !== '' || url.hash !== '') throw new Error('it has a query or a fragment')
  const user = decoded(url.username)
  const password = decoded(url.password)
  if ((user === '') !== (password === '')) throw new Error('it has a user or a password, not both')
  if (user.includes(':')) throw new Error('its user has a colon, which ends a user in HTTP Basic')
  const base = (url.origin + url.pathname).replace(/\/+$/, '')
  if (user === '') return { base, headers: {} }
  return { base, headers: { authorization: `Basic ${textToBase64(`${user}:${password}`)}` } }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Error('its user or password is not percent-encoded')
  }
}
