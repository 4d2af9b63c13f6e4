/**
 * E-mail by SMTP. The Message-ID is that of the message, also when it is sent again, so that mail
 * stores drop repeats; messages of one group make a thread.
 */
import nodemailer from 'nodemailer'
import { TRY_MS_MAX } from './http.ts'
import type { Message } from './message.ts'
import { DELIVERED, failure, type Outcome } from './outcome.ts'
import type { Target } from './target.ts'
import { linesOf, linksOf, titleOf } from './words.ts'

type Email = Extract<Target, { channel: 'email' }>

export interface EmailOptions {
  /** `smtp(s)://user:password@host:port` */
  smtpUrl: string | undefined
  /** `shelf@example.com`, or with a name before it in pointed brackets. */
  from: string | undefined
  webUrl: string | undefined
}

export async function sendEmail(
  message: Message,
  { to }: Email,
  { smtpUrl, from, webUrl }: EmailOptions,
): Promise<Outcome> {
  if (!smtpUrl || !from) return failure('set SHELF_SMTP_URL and SHELF_MAIL_FROM to send e-mail')
  const domain = /@([\w.-]+)>?$/.exec(from)?.[1] ?? 'shelf'
  const thread = `<${message.group}@${domain}>`
  const links = linksOf(message, webUrl).map(({ text, href }) => `${text}: ${href}`)
  const transport = nodemailer.createTransport({
    url: smtpUrl,
    connectionTimeout: TRY_MS_MAX,
    greetingTimeout: TRY_MS_MAX,
    socketTimeout: TRY_MS_MAX,
  })
  const tooLate = Promise.withResolvers<never>()
  // The timeouts are of each step; this one is of all.
  const timer = setTimeout(() => tooLate.reject(new Error('no answer in time')), 2 * TRY_MS_MAX)
  try {
    const sending = transport.sendMail({
      ...{ from, to },
      subject: titleOf(message),
      text: `${[...linesOf(message), '', ...links].join('\n').trimEnd()}\n`,
      messageId: `<${message.key}@${domain}>`,
      inReplyTo: thread,
      references: thread,
      date: new Date(message.at),
      headers: { 'Auto-Submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    await Promise.race([sending, tooLate.promise])
    return DELIVERED
  } catch (error) {
    return outcomeOf(error)
  } finally {
    clearTimeout(timer)
    transport.close()
  }
}

/** 5xx of SMTP is for good (RFC 5321, 4.2.1); but wrong credentials are ours to mend. */
function outcomeOf(error: unknown): Outcome {
  const words = error instanceof Error ? error.message : String(error)
  const { code, responseCode } = Object(error)
  const isFinal = typeof responseCode === 'number' && responseCode >= 500 && code !== 'EAUTH'
  return failure(words, { isFinal })
}
