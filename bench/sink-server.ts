/** A log that answers at once, in the dialect of Shelf's broker: one record was written. Prints its port. */
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    await request.arrayBuffer()
    return Response.json([{ topic: 'raw', partition: 0, offset: 0, timestamp: 0 }])
  },
})
console.log(server.port)
