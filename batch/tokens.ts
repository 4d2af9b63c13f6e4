/** The access token of the stack on this machine, which `shelf up` prints. */
import { join } from 'node:path'
import { z } from 'zod'
import { connect } from '../db/client.ts'
import { addToken, newToken, viewerOf } from '../web/access.ts'
import { readStateFile, STATE_VERSION, writeStateFile } from './state-file.ts'

const fileSchema = z.object({ version: z.literal(STATE_VERSION), token: z.string() })

/**
 * The token that the state folder keeps, for all apps, readable by its owner only. A new one, where
 * it has none or the database does not take it: it is another database, or the token was revoked.
 */
export async function ownToken(dir: string, databaseUrl: string): Promise<string> {
  const path = join(dir, 'token.json')
  const sql = connect(databaseUrl, { max: 1 })
  try {
    const kept = readStateFile(path, fileSchema)?.token
    if (kept !== undefined && (await viewerOf(sql, kept)) !== undefined) return kept
    const token = newToken()
    await addToken(sql, token, undefined, 'npm start')
    writeStateFile(path, { version: STATE_VERSION, token }, 'replace')
    return token
  } finally {
    await sql.end({ timeout: 5 })
  }
}
