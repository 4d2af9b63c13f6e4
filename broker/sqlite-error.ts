/**
 * SQLite's errors as ours: a disk that refuses is told apart from everything else.
 */

import { SQLiteError } from 'bun:sqlite'
import { LogError } from './error.ts'

/**
 * What `call` returns.
 * @throws LogError for an SQLiteError: 'disk' where the disk under `folder` is full or failing,
 * 'failed' for the rest; any other error as it is
 */
export function guarded<T>(folder: string, call: () => T): T {
  try {
    return call()
  } catch (cause) {
    if (cause instanceof SQLiteError) throw errorOf(cause, folder)
    throw cause
  }
}

function errorOf(cause: SQLiteError, folder: string): LogError {
  const code = cause.code ?? 'SQLITE_ERROR'
  const what = `${code}: ${cause.message}`
  if (code === 'SQLITE_BUSY') {
    return new LogError('failed', `the log in ${folder} is open in another process`, { cause })
  }
  if (/^SQLITE_(FULL|IOERR|CANTOPEN|READONLY)/.test(code)) {
    return new LogError(
      'disk',
      `the disk under ${folder} is full or failing (${what}): nothing was accepted, ` +
        'make space and send it again',
      { cause },
    )
  }
  return new LogError('failed', `the log in ${folder} failed (${what})`, { cause })
}
