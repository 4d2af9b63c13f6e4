/** Asks the API of the page. */

/** After this long the page says that it is not fresh, ms: what hangs is as good as gone. */
const ASK_MS_MAX = 20_000

/** @throws Error with words for a person, where there is no answer in time, or none that is good */
export async function ask<Answer>(url: string, { signal }: AbortController): Promise<Answer> {
  const timeout = AbortSignal.timeout(ASK_MS_MAX)
  const response = await fetch(url, { signal: AbortSignal.any([signal, timeout]) }).catch(() => {
    throw new Error(
      timeout.aborted ? 'the dashboard does not answer' : 'the dashboard can’t be reached',
    )
  })
  // The token was revoked, or the cookie is gone.
  if (response.status === 401) location.reload()
  const answer: unknown = await response.json().catch(() => undefined)
  if (!response.ok) throw new Error(wordsOf(answer))
  // Our own server's, by our own types.
  return answer as Answer
}

const wordsOf = (answer: unknown): string =>
  typeof answer === 'object' && answer !== null && 'error' in answer
    ? String(answer.error)
    : 'the dashboard did not answer'
