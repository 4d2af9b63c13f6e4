/** What PostgreSQL does not answer in time: it hangs, or the way to it does. */

/** Longer than any statement may take, shorter than a page waits for its answer. */
export const SILENT_MS_MAX = 15_000

/** Has the code that a socket would have. */
class NoAnswer extends Error {
  readonly code = 'ETIMEDOUT'
}

/**
 * The work, or an error of the code ETIMEDOUT where it takes too long. The work goes on then.
 * @param onSilence lets go of connections that are of no use any more
 */
export async function inTime<Result>(
  work: Promise<Result>,
  onSilence: () => void,
  afterMs: number,
): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onSilence()
      reject(new NoAnswer(`no answer in ${afterMs / 1000} s`))
    }, afterMs)
  })
  // Whoever gave up waits for it no more.
  work.catch(() => {})
  try {
    return await Promise.race([work, silence])
  } finally {
    clearTimeout(timer)
  }
}
