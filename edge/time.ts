/** Waiting with a limit: nothing at the edge waits for ever. */

/** What stands for an answer that did not come in time. */
export const LATE = Symbol('late')

/** What `promise` comes to, or LATE after `ms`. What comes later is forgotten, a failure too. */
export async function inTime<T>(promise: Promise<T>, ms: number): Promise<T | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
