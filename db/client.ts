/** A connection pool to Postgres, set up alike for all programs. */
import postgres from 'postgres'

/** Managed Postgres plans start at 20 connections; several programs share them. */
const CONNECTIONS_MAX = 4
/** A program that cannot connect in this time says so and tries again later. */
const CONNECT_TIMEOUT_S = 10
/** Connections that nobody uses go back to the server. */
const IDLE_TIMEOUT_S = 30

export type Sql = postgres.Sql<{ bigint: number }>

/** One transaction of it, as `sql.begin` hands it out. */
export type Transaction = postgres.TransactionSql<{ bigint: number }>

export interface ConnectOptions {
  /** Connections at the same time. Default 4. */
  max?: number
  /** How long a connection that nobody uses is kept, seconds. Default 30. */
  idleSeconds?: number
  /** Settings of the session, as of `set`; application_name is 'shelf' unless given. */
  settings?: Record<string, string>
}

/**
 * Int8 is read as a number. Counts and offsets stay far below 2^53; what does not is an error of
 * the query, never a rounded number.
 */
const bigint = {
  to: 20,
  from: [20],
  serialize: (value: number) => String(value),
  parse: (text: string) => {
    const value = Number(text)
    if (!Number.isSafeInteger(value)) throw new RangeError(`a bigint beyond 2^53: ${text}`)
    return value
  },
}

/**
 * Connects when the first query comes, and again when a connection is lost. `await sql.end()`
 * closes it. A histogram comes as text: see histogramFromText in schema.ts. Do not hand it to
 * drizzle(), which changes how its client reads dates and writes JSON: give drizzle one of its own.
 */
export function connect(databaseUrl: string, options: ConnectOptions = {}): Sql {
  return postgres(databaseUrl, {
    max: options.max ?? CONNECTIONS_MAX,
    connect_timeout: CONNECT_TIMEOUT_S,
    idle_timeout: options.idleSeconds ?? IDLE_TIMEOUT_S,
    // Notices are for people at a prompt: "already exists, skipping".
    onnotice: () => {},
    connection: { application_name: 'shelf', TimeZone: 'UTC', ...options.settings },
    types: { bigint },
  })
}
