/** What signs webhooks: SHELF_WEBHOOK_SECRET, or a secret that is made for the state folder. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { type Environment, stateDir } from './state.ts'
import { readStateFile, STATE_VERSION, writeStateFile } from './state-file.ts'

/** The specification asks for 24 to 64 bytes. */
const SECRET_BYTES = 32

const fileSchema = z.object({ version: z.literal(STATE_VERSION), secret: z.string() })

/**
 * `whsec_…`, the current one first; several, with blanks between, while one is changed.
 * @throws Error that says what to do where the folder can't be written
 */
export function webhookSecrets(env: Environment): string[] {
  const given = (env.SHELF_WEBHOOK_SECRET ?? '').trim()
  if (given !== '') return given.split(/\s+/)
  const path = join(stateDir(env), 'webhook.json')
  const read = () => readStateFile(path, fileSchema)?.secret
  const found = read()
  if (found !== undefined) return [found]
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
  writeStateFile(path, { version: STATE_VERSION, secret }, 'keep')
  // Another program may have been first.
  return [read() ?? secret]
}
