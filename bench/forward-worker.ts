/** The least that a receiver can do: a Worker that reads a body and forwards it, unread. */
interface Bindings {
  SHELF_LOG: string
}

export default {
  async fetch(request: Request, { SHELF_LOG }: Bindings): Promise<Response> {
    const { origin } = new URL(SHELF_LOG)
    const body = await request.arrayBuffer()
    const answer = await fetch(`${origin}/produce`, { method: 'POST', body })
    await answer.arrayBuffer()
    return new Response(null, { status: answer.ok ? 204 : 503 })
  },
}
