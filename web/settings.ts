/** The settings of the dashboard as a process of its own. */
import { z } from 'zod'

const unset = (value: unknown): unknown => (value === '' ? undefined : value)

export const webSettings = z.object({
  /** 0 takes a free port, which the ready line names. */
  SHELF_WEB_PORT: z.preprocess(unset, z.coerce.number().int().min(0).max(65_535).default(8790)),
  /** This machine only: put a proxy that speaks TLS before it, to open it to others. */
  SHELF_WEB_HOST: z.preprocess(unset, z.string().default('127.0.0.1')),
})
