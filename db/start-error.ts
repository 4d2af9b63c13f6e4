/**
 * Why PostgreSQL does not start, in words that say what to do.
 */

/** The error with words that say what to do, where we know it; any other as it is. */
export function startError(error: unknown, dataDir: string, port: number): unknown {
  if (!(error instanceof Error) || error.name === 'AbortError') return error
  const { message } = error
  const code = 'code' in error ? error.code : undefined
  const say = (words: string) => new Error(words, { cause: error })
  if (/could not bind|Address already in use/.test(message)) {
    return say(
      `port ${port} (PostgreSQL) is in use: stop what listens there, or set SHELF_PORT_OFFSET=1000, ` +
        'which moves all ports',
    )
  }
  if (code === 'ENOSPC' || /No space left on device|Disk quota exceeded/.test(message)) {
    return say(
      `no space left for ${dataDir}: free some, or set SHELF_DIR to a folder on another disk`,
    )
  }
  if (code === '28P01') {
    return say(
      `${dataDir} was made with another password: put its config.json back, or move ${dataDir} away`,
    )
  }
  if (/could not look up effective user ID/.test(message)) {
    return say(`${message}: PostgreSQL needs a user with a name; use one, or set DATABASE_URL`)
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return say(
      `${message}: start as the user who made ${dataDir}, or set SHELF_DIR to another folder`,
    )
  }
  return error
}
