/**
 * Slack's incoming webhooks, and what speaks like them. Slack has no key to drop repeats by: a
 * message whose answer got lost may stand there twice.
 */
import { post } from './http.ts'
import { eventOf, type Message } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Target } from './target.ts'
import { linesOf, linksOf, titleOf } from './words.ts'

/** Slack's limits: of a header, of a section, and of the blocks of a message (50) we use few. */
const HEADER_CHARS_MAX = 150
const SECTION_CHARS_MAX = 3000
const SECTIONS_MAX = 5

const EMOJI = {
  fired: '🔴',
  reminder: '🔴',
  unknown: '⚪',
  recovered: '🟢',
  test: '🔵',
}

type Slack = Extract<Target, { channel: 'slack' }>

export async function sendSlack(
  message: Message,
  { url, authorization, isTrusted }: Slack,
  webUrl: string | undefined,
): Promise<Outcome> {
  const headers = {
    'content-type': 'application/json',
    ...(authorization !== undefined && { authorization }),
  }
  return await post({ url, headers, body: JSON.stringify(bodyOf(message, webUrl)), isTrusted })
}

function bodyOf(message: Message, webUrl: string | undefined): object {
  const title = `${EMOJI[eventOf(message)]} ${titleOf(message)}`
  const links = linksOf(message, webUrl).map(
    ({ href, text }) => `<${escaped(href).replaceAll('|', '%7C')}|${text}>`,
  )
  return {
    // For notifications, and for those who know no blocks.
    text: escaped(title),
    blocks: [
      // A header is plain text: it is not escaped.
      { type: 'header', text: { type: 'plain_text', text: cut(title, HEADER_CHARS_MAX) } },
      ...sections(linesOf(message).map(escaped)),
      ...(links.length > 0 ? [section(links.join(' · '))] : []),
    ],
  }
}

const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text } })

/** Lines in sections, as many as one takes. */
function sections(lines: readonly string[]): ReturnType<typeof section>[] {
  const texts: string[] = []
  for (const line of lines) {
    const text = `• ${cut(line, SECTION_CHARS_MAX - 2)}`
    const last = texts.at(-1)
    const joined = last === undefined ? text : `${last}\n${text}`
    if (last !== undefined && joined.length <= SECTION_CHARS_MAX) texts[texts.length - 1] = joined
    else texts.push(text)
  }
  return texts.slice(0, SECTIONS_MAX).map(section)
}

/** What Slack takes for markup: `<!channel>` in a name would wake everybody. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const cut = (text: string, chars: number): string =>
  text.length <= chars ? text : `${text.slice(0, chars - 1)}…`
