/** Sends a message to its target, once: which channel that is, and with what settings. */
import { sendEmail } from './email.ts'
import { sendLine } from './line.ts'
import type { Message } from './message.ts'
import { failure, type Outcome } from './outcome.ts'
import { PAGERDUTY_URL, sendPagerDuty } from './pagerduty.ts'
import { sendSlack } from './slack.ts'
import { type Environment, parseTarget, TargetError } from './target.ts'
import { sendWebhook } from './webhook.ts'

export interface ChannelSettings {
  /** SHELF_CHANNEL_…, SHELF_SMTP_URL, SHELF_MAIL_FROM, SHELF_PAGERDUTY_URL, SHELF_WEB_URL. */
  env: Environment
  /** What signs webhooks that have no secret of their own. @throws Error in words */
  webhookSecrets: () => string[]
}

export type Send = (message: Message) => Promise<Outcome>

/** One try. Never rejects. */
export function channels({ env, webhookSecrets }: ChannelSettings): Send {
  const webUrl = env.SHELF_WEB_URL || undefined
  async function send(message: Message): Promise<Outcome> {
    const target = parseTarget(message.target, env)
    switch (target.channel) {
      case 'webhook': {
        const secrets = target.secrets.length > 0 ? target.secrets : webhookSecrets()
        return await sendWebhook(message, target, { secrets, webUrl })
      }
      case 'slack':
        return await sendSlack(message, target, webUrl)
      case 'pagerduty': {
        const url = new URL(env.SHELF_PAGERDUTY_URL || PAGERDUTY_URL)
        return await sendPagerDuty(message, target, { url, webUrl })
      }
      case 'email':
        return await sendEmail(message, target, {
          smtpUrl: env.SHELF_SMTP_URL,
          from: env.SHELF_MAIL_FROM,
          webUrl,
        })
      case 'log':
        return sendLine(message)
    }
  }
  return async (message) => {
    try {
      return await send(message)
    } catch (error) {
      const isFinal = error instanceof TargetError && !error.isPassing
      return failure(error instanceof Error ? error.message : String(error), { isFinal })
    }
  }
}
