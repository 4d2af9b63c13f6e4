/** Wakes those who wait for something to change. */
export class Bell {
  private readonly waiting = new Set<() => void>()

  ring(): void {
    for (const wake of this.waiting) wake()
  }

  /** Resolves at the next ring, after `ms`, or when `signal` says to stop. */
  wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wake = (): void => {
        clearTimeout(timer)
        this.waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}
