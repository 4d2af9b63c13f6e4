/** The last line of `npm test` where Kafka could not be had: what did not run. */
import { missing } from '../kafka-server.ts'

if (missing !== undefined) {
  console.error(
    `NOT TESTED: Kafka, as ${missing} is not installed: Java 17, Maven and OpenSSL are needed`,
  )
}
