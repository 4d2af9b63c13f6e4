/**
 * Which addresses a URL from a rule may lead to: public ones. Who writes rules must not reach the
 * metadata service of a cloud, or what listens inside, through us.
 */
import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/** A host that we do not speak to. */
export class PrivateAddressError extends Error {
  override name = 'PrivateAddressError'
}

/** Whether an address is one of the open internet: not private, loopback, link-local or reserved. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address)
  // ::a.b.c.d, long deprecated, is no range of its own there: some systems take it for IPv4.
  if (
    parsed.kind() === 'ipv6' &&
    parsed
      .toByteArray()
      .slice(0, 12)
      .every((byte) => byte === 0)
  ) {
    return false
  }
  return parsed.range() === 'unicast'
}

/** @throws PrivateAddressError where the host of a URL is itself an address that is not public */
export function refusePrivateHost(hostname: string): void {
  const address = hostname.replace(/^\[|\]$/g, '')
  if (isIP(address) > 0 && !isPublic(address)) throw refused(hostname)
}

/**
 * The lookup of a connection. It is the one that the connection is made with, so no second answer
 * of a name server can lead elsewhere. One private address among several is enough to refuse.
 */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) return callback(error, '')
    const [first] = addresses
    if (first === undefined || !addresses.every(({ address }) => isPublic(address))) {
      return callback(refused(hostname), '')
    }
    if (options.all) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}

function refused(hostname: string): PrivateAddressError {
  return new PrivateAddressError(
    `${hostname} is a private address: only channels named in the environment lead there`,
  )
}
