/** The settings of the edge: variables and secrets of the Worker, the environment elsewhere. */
import * as z from 'zod'
import { drainKeysSchema } from '../core/credential.ts'
import { DIALECTS, openSink } from './sinks/open-sink.ts'

/** Logplex sends a drain some tens of requests a second at most, `shelf send` about a hundred. */
const DRAIN_RATE_DEFAULT = 500

/** A quarter of what an isolate of Cloudflare has: 60 large bodies at once then take 80 MB there. */
const BODIES_BYTES_MAX_DEFAULT = 32 * 1024 * 1024

/** At worst a get, a produce and a delete each: within the 10,000 subrequests of Cloudflare's paid plan. */
const SPOOL_OBJECTS_MAX_DEFAULT = 3000

const SPOOL_BYTES_MAX_DEFAULT = 1024 * 1024 * 1024

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'not a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))

/** What was set to nothing was not set: so a shell and a dashboard mean it. */
const unset = (value: unknown): unknown => (value === '' ? undefined : value)

/** A setting that may be left out. */
const optional = <T extends z.ZodType>(schema: T) => z.preprocess(unset, schema)

const edgeShape = z.object({
  /** The URL of the log or of its REST proxy, with user and password where it wants them. */
  SHELF_LOG: z.string(),
  /** What is spoken there. */
  SHELF_LOG_DIALECT: optional(z.enum(DIALECTS).default('upstash')),
  SHELF_DRAIN_KEYS: drainKeysSchema,
  /** Ids of drains, separated by commas. */
  SHELF_REVOKED: z.string().default(''),
  /** Requests a second of one drain; ten times as many at once after a silence. */
  SHELF_DRAIN_RATE: optional(wholeNumber(1, 1e6).default(DRAIN_RATE_DEFAULT)),
  /** Of the bodies that are held at a time, bytes. */
  SHELF_BODIES_BYTES_MAX: optional(wholeNumber(1e6, 1e12).default(BODIES_BYTES_MAX_DEFAULT)),
  /** Bursts of one run that drains the spool. 15 for Cloudflare's free plan with its 50 subrequests. */
  SHELF_SPOOL_OBJECTS_MAX: optional(wholeNumber(1, 1e5).default(SPOOL_OBJECTS_MAX_DEFAULT)),
})

/** What openEdge wants to know, of an environment or a Worker's bindings. */
export const edgeSettings = edgeShape.transform((given, context) => {
  try {
    return {
      sink: openSink(given.SHELF_LOG_DIALECT, given.SHELF_LOG),
      drainKeys: given.SHELF_DRAIN_KEYS,
      revoked: new Set(given.SHELF_REVOKED.split(',').filter((id) => id !== '')),
      drainRate: given.SHELF_DRAIN_RATE,
      bodiesBytesMax: given.SHELF_BODIES_BYTES_MAX,
      spoolObjectsMax: given.SHELF_SPOOL_OBJECTS_MAX,
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : 'it is no URL'
    context.addIssue({ code: 'custom', path: ['SHELF_LOG'], message })
    return z.NEVER
  }
})

export type EdgeSettings = z.infer<typeof edgeSettings>

/** What an edge that is a process of its own wants to know besides. */
export const serverSettings = z.object({
  /** 0 takes a free port, which the ready line names. */
  SHELF_EDGE_PORT: optional(wholeNumber(0, 65_535).default(8787)),
  /** All addresses: what a container forwards to. All that is offered there wants credentials. */
  SHELF_EDGE_HOST: optional(z.string().default('0.0.0.0')),
  /** The folder of the spool; without it there is none. */
  SHELF_SPOOL_DIR: optional(z.string().optional()),
  /** Of the disk, for the spool. */
  SHELF_SPOOL_BYTES_MAX: optional(wholeNumber(1e6, 1e15).default(SPOOL_BYTES_MAX_DEFAULT)),
  /** '1': end when stdin closes, so that a killed supervisor leaves nothing running. */
  SHELF_EXIT_WITH_PARENT: optional(z.enum(['0', '1']).default('0')),
})

/** One line that names each bad setting and what is wrong with it, and never its value. */
export function settingsProblem(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
}
