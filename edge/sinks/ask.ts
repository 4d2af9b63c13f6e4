/** One request and its answer: within a time, and no more of the answer than memory has room for. */

/** Reports of some 4,000 records: rest-v3, the most talkative, writes about 250 bytes for each. */
const ANSWER_BYTES_MAX = 1_048_576

export interface Answer {
  status: number
  headers: Headers
  /** As much of the body as came in time, before a cut, and below the limit. */
  text: string
}

/**
 * Sends what `makeRequest` makes. Nothing of it goes on afterwards: what is not read is cancelled.
 * A redirect is an answer like any other: followed, a POST becomes a GET that writes nothing.
 * @param ms for all of it, the body too
 * @returns undefined where no head of an answer came: unreachable, cut or too late. Never throws.
 */
export async function ask(makeRequest: () => Request, ms: number): Promise<Answer | undefined> {
  const controller = new AbortController()
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  try {
    const asked = fetch(makeRequest(), { signal: controller.signal, redirect: 'manual' })
    // The race, not the abort alone, keeps the time: a runtime may be slow to tell of an abort.
    const response = await Promise.race([asked, late])
    if (response === undefined) return undefined
    const { status, headers, body } = response
    return { status, headers, text: body === null ? '' : await textOf(body, late) }
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
}

async function textOf(body: ReadableStream<Uint8Array>, late: Promise<void>): Promise<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  const read = async (): Promise<void> => {
    for (let bytes = 0; bytes < ANSWER_BYTES_MAX; ) {
      const { done, value } = await reader.read()
      if (done) return
      bytes += value.length
      text += decoder.decode(value, { stream: true })
    }
  }
  // A cut or an abort ends the text where it is.
  await Promise.race([read().catch(() => {}), late])
  void reader.cancel().catch(() => {})
  return text
}
