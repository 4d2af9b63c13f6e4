/** What can go wrong at the edge, and the one place that says with which status it is answered. */

/**
 * Logplex drops a frame on any 4xx but 429, and tries again on all else: so a 4xx only where no
 * other try can go better.
 */
const STATUS = {
  'bad-credentials': 401,
  'body-too-large': 413,
  'unknown-content-type': 415,
  'bad-encoding': 400,
  'bad-metrics': 400,
  'over-rate': 429,
  'body-too-slow': 503,
  'body-cut-off': 503,
  'too-many-bodies': 503,
  'log-unavailable': 503,
} as const

export type EdgeErrorCode = keyof typeof STATUS

export class EdgeError extends Error {
  readonly status: (typeof STATUS)[EdgeErrorCode]

  /** `retryAfterSeconds`: for the header Retry-After, a whole number from 1 on. */
  constructor(
    readonly code: EdgeErrorCode,
    message: string,
    readonly retryAfterSeconds?: number,
  ) {
    super(message)
    this.name = 'EdgeError'
    this.status = STATUS[code]
  }
}
