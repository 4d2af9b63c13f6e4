/** What a failure of the Kafka library means for a log. */

import { AuthenticationError, ProtocolError, TimeoutError } from '@platformatic/kafka'
import { LogError, type LogErrorCode } from './error.ts'

/** By the names of kafka.apache.org/protocol#protocol_error_codes; all others are 'failed'. */
const CODES: Record<string, LogErrorCode> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'not-found',
  UNKNOWN_TOPIC_ID: 'not-found',
  MESSAGE_TOO_LARGE: 'too-large',
  RECORD_LIST_TOO_LARGE: 'too-large',
  TOPIC_AUTHORIZATION_FAILED: 'unauthorized',
  CLUSTER_AUTHORIZATION_FAILED: 'unauthorized',
  SASL_AUTHENTICATION_FAILED: 'unauthorized',
  UNSUPPORTED_SASL_MECHANISM: 'unauthorized',
  INVALID_TOPIC_EXCEPTION: 'bad-request',
  INVALID_CONFIG: 'bad-request',
  INVALID_PARTITIONS: 'bad-request',
  INVALID_REPLICATION_FACTOR: 'bad-request',
  POLICY_VIOLATION: 'bad-request',
  LEADER_NOT_AVAILABLE: 'unavailable',
  NOT_LEADER_OR_FOLLOWER: 'unavailable',
  NOT_ENOUGH_REPLICAS: 'unavailable',
  THROTTLING_QUOTA_EXCEEDED: 'unavailable',
  REQUEST_TIMED_OUT: 'timeout',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 'timeout',
  KAFKA_STORAGE_ERROR: 'disk',
}

/** Whether no answer came: where something was sent, nobody knows whether it was done. */
export function isSilence(error: unknown): error is LogError {
  return error instanceof LogError && (error.code === 'timeout' || error.code === 'unreachable')
}

/** Whether Kafka says that the same request will not go better: its batch numbers are off, say. */
export function isFinal(error: unknown): boolean {
  return causesOf(error).some((cause) => cause instanceof ProtocolError && !cause.canRetry)
}

/** The failure as a log tells it. `doing` goes before the words: `read raw/0`. */
export function logErrorOf(doing: string, error: unknown): LogError {
  if (error instanceof LogError) return error
  const causes = causesOf(error)
  const said = causes.find((cause) => cause instanceof ProtocolError)
  if (said !== undefined) {
    const name = String(said.apiId)
    const words = `${name}: ${said.serverErrorMessage ?? said.message}`
    return new LogError(CODES[name] ?? 'failed', `can't ${doing}: Kafka says ${words}`, {
      cause: error,
    })
  }
  // The innermost cause says most: ECONNREFUSED, SASL authentication failed.
  const words = causes.at(-1)?.message ?? String(error)
  const any = (kind: new (message: string) => Error) => causes.some((each) => each instanceof kind)
  if (any(AuthenticationError)) {
    const refused = `can't ${doing}: Kafka refuses the user or the password: ${words}`
    return new LogError('unauthorized', refused, { cause: error })
  }
  const code = any(TimeoutError) ? 'timeout' : 'unreachable'
  return new LogError(code, `can't ${doing}: no answer from Kafka: ${words}`, { cause: error })
}

/** An error and all that it came from, the outermost first. */
function causesOf(error: unknown): Error[] {
  if (!(error instanceof Error)) return []
  const inner = error instanceof AggregateError ? error.errors : []
  return [error, ...inner.flatMap(causesOf), ...causesOf(error.cause)]
}
