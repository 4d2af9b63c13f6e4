/** `shelf web`: the dashboard. */
import { z } from 'zod'
import { serveWeb } from '../web/serve.ts'
import { webSettings } from '../web/settings.ts'
import { locateDatabase } from './locate.ts'
import { type Program, say, UsageError } from './program.ts'

export const web: Program = {
  usage: 'web',
  summary: 'Serves the dashboard, until it is stopped.',
  details: `
On SHELF_WEB_PORT (8790) of SHELF_WEB_HOST (127.0.0.1). To open it to others, put a proxy before it
that speaks TLS. Who looks needs a token: shelf token add.`,
  options: {},
  async run(_args, signal) {
    const settings = webSettings.safeParse(process.env)
    if (!settings.success) throw new UsageError(z.prettifyError(settings.error))
    const { SHELF_WEB_HOST: hostname, SHELF_WEB_PORT: port } = settings.data
    const server = await serveWeb(locateDatabase(process.env), { hostname, port })
    say(`ready at ${server.url}`)
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    }
    await server.stop()
  },
}
