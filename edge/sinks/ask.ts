/** One request and its answer: within a time, and no more of the answer than memory has room for. */

/** Reports of some 4,000 records: rest-v3, the most talkative, writes about 250 bytes for each. */
const ANSWER_BYTES_MAX = 1_048_576

export interface Answer {
  status: number
  headers: Headers
  /** As much of the body as came in time, before a cut, and below the limit. */
  text: string
}

/** A POST: made as a Request, its headers would be copied once more. */
export interface Post {
  url: string
  headers: Record<string, string>
  body: string
}

/**
 * Sends what `makePost` makes. Nothing of it goes on afterwards: what is not read is cancelled.
 * A redirect is an answer like any other: followed, a POST becomes a GET that writes nothing.
 * @param ms for all of it, the body too
 * @returns undefined where no head of an answer came: unreachable, cut or too late. Never throws.
 */
export async function ask(makePost: () => Post, ms: number): Promise<Answer | undefined> {
  const controller = new AbortController()
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  let isWhole = false
  try {
    const { url, ...post } = makePost()
    const { signal } = controller
    const asked = fetch(url, { ...post, method: 'POST', signal, redirect: 'manual' })
    // The race, not the abort alone, keeps the time: a runtime may be slow to tell of an abort.
    const response = await Promise.race([asked, late])
    if (response === undefined) return undefined
    const { status, headers } = response
    const body = await bodyOf(response, late)
    isWhole = body.isWhole
    return { status, headers, text: body.text }
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    if (!isWhole) controller.abort()
  }
}

async function bodyOf(
  { headers, body }: Response,
  late: Promise<void>,
): Promise<{ text: string; isWhole: boolean }> {
  if (body === null) return { text: '', isWhole: true }
  const bytesMax = bytesSaid(headers)
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let isWhole = false
  const read = async (): Promise<void> => {
    for (let bytes = 0; bytes < ANSWER_BYTES_MAX; ) {
      const { done, value } = await reader.read()
      if (!done) {
        bytes += value.length
        text += decoder.decode(value, { stream: true })
      }
      isWhole = done || bytes === bytesMax
      if (isWhole) return
    }
  }
  // A cut or an abort ends the text where it is.
  await Promise.race([read().catch(() => {}), late])
  if (!isWhole) void reader.cancel().catch(() => {})
  return { text, isWhole }
}

/** How long the body is, if that was said: to wait for its end takes workerd as long as to read it. */
function bytesSaid(headers: Headers): number | undefined {
  const length = headers.get('content-length')
  // Of a packed body, it says how long that is.
  return length === null || headers.has('content-encoding') ? undefined : Number(length)
}
