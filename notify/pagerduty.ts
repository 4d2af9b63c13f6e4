/**
 * PagerDuty, Events API v2. The `dedup_key` is that of the group: one alert for an incident of any
 * number of apps, which a message that is sent again does not open twice, and which is resolved
 * when the last of them has recovered.
 */
import { post } from './http.ts'
import type { Message } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Target } from './target.ts'
import { linesOf, linksOf, titleOf } from './words.ts'

/** Of the US; accounts of the EU set https://events.eu.pagerduty.com/v2/enqueue. */
export const PAGERDUTY_URL = 'https://events.pagerduty.com/v2/enqueue'
const SUMMARY_CHARS_MAX = 1024

type PagerDuty = Extract<Target, { channel: 'pagerduty' }>

export async function sendPagerDuty(
  message: Message,
  { routingKey }: PagerDuty,
  { url, webUrl }: { url: URL; webUrl: string | undefined },
): Promise<Outcome> {
  const event = {
    routing_key: routingKey,
    dedup_key: message.group,
    ...(message.open === 0 ? { event_action: 'resolve' } : triggerOf(message, webUrl)),
  }
  return await post({
    url,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
    // The URL is ours or the operator's.
    isTrusted: true,
  })
}

function triggerOf(message: Message, webUrl: string | undefined): object {
  const { name, severity, at, items } = message
  return {
    event_action: 'trigger',
    client: 'Shelf',
    ...(webUrl !== undefined && { client_url: webUrl }),
    links: linksOf(message, webUrl),
    payload: {
      summary: titleOf(message).slice(0, SUMMARY_CHARS_MAX),
      source: items[0]?.app ?? 'shelf',
      severity,
      timestamp: at,
      class: items[0]?.metric ?? '',
      group: name,
      custom_details: { open: message.open, results: linesOf(message) },
    },
  }
}
