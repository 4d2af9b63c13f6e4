/**
 * How a log fails, on both sides of its REST dialect. The code says what happened, the status is
 * what travels, and `retryable` says whether the same call may succeed later.
 */

const FAILURES = {
  'bad-request': { status: 400, retryable: false },
  unauthorized: { status: 401, retryable: false },
  'not-found': { status: 404, retryable: false },
  /** The topic was deleted and made anew: offsets of before mean nothing in it. Start anew. */
  replaced: { status: 409, retryable: true },
  'too-large': { status: 413, retryable: false },
  failed: { status: 500, retryable: true },
  'not-offered': { status: 501, retryable: false },
  /** No answer came: for an append, nobody knows whether it was written. */
  unreachable: { status: 502, retryable: true },
  /** Refused for now: the queue is full, or the log is closing. Nothing was written. */
  unavailable: { status: 503, retryable: true },
  /** No answer within the deadline: for an append, nobody knows whether it was written. */
  timeout: { status: 504, retryable: true },
  /** The disk is full or failing: nothing was accepted. */
  disk: { status: 507, retryable: true },
} as const

export type LogErrorCode = keyof typeof FAILURES

export class LogError extends Error {
  override readonly name = 'LogError'
  readonly code: LogErrorCode
  readonly status: (typeof FAILURES)[LogErrorCode]['status']
  readonly retryable: boolean

  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.status = FAILURES[code].status
    this.retryable = FAILURES[code].retryable
  }
}

/** The code behind a status; another 5xx is 'failed', another 4xx is 'bad-request'. */
export function codeOfStatus(status: number): LogErrorCode {
  const code = Object.keys(FAILURES)
    .filter(isCode)
    .find((name) => FAILURES[name].status === status)
  return code ?? (status >= 500 ? 'failed' : 'bad-request')
}

const isCode = (name: string): name is LogErrorCode => Object.hasOwn(FAILURES, name)
