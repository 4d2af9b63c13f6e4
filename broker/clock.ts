/**
 * The time that a log stamps on its records: the wall clock, but never backwards.
 */

/**
 * A clock of whole Unix ms that starts at `lastMs` or later and never decreases. Where the wall
 * clock was set back, it goes on at half speed until the wall has caught up: a clock that stood
 * still would keep every chunk open for as long as the wall was set back.
 */
export function logClock(
  lastMs: number,
  wallMs: () => number = Date.now,
  elapsedMs: () => number = () => performance.now(),
): () => number {
  let atMs = lastMs
  let seenMs = elapsedMs()
  return () => {
    const nowMs = elapsedMs()
    atMs = Math.max(wallMs(), atMs + (nowMs - seenMs) / 2)
    seenMs = nowMs
    return Math.floor(atMs)
  }
}

/**
 * The wall clock, but never ahead of the time that passed since the start: retention must not
 * delete what is young because somebody set the clock forward.
 */
export function steadyClock(
  wallMs: () => number,
  elapsedMs: () => number = () => performance.now(),
): () => number {
  const startMs = wallMs() - elapsedMs()
  return () => Math.min(wallMs(), startMs + elapsedMs())
}
