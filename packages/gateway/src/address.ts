import { type LookupAddress, lookup as resolveName } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/** Where an address leads. `refused`: link-local, metadata services, multicast, reserved: nobody's upstream. */
export type AddressKind = 'global' | 'private' | 'loopback' | 'refused'

const lists = {
  // First, as they lie in ranges that are good: services that hand out a machine's credentials.
  metadata: listOf(['168.63.129.16/32', '100.100.100.200/32'], ['fd00:ec2::254/128', 'fd20:ce::254/128']),
  loopback: listOf(['127.0.0.0/8'], ['::1/128']),
  private: listOf(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'], ['fc00::/7']),
  // What carries another address inside (6to4, Teredo) could lead anywhere; documentation leads nowhere.
  reserved: listOf(
    ['0.0.0.0/8', '169.254.0.0/16', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.51.100.0/24'],
    ['2001::/32', '2001:db8::/32', '2002::/16', '3fff::/20'],
  ),
  more: listOf(['203.0.113.0/24', '224.0.0.0/3'], []),
  unicast: listOf([], ['2000::/3']),
}

function listOf(ipv4: readonly string[], ipv6: readonly string[]): BlockList {
  const list = new BlockList()
  for (const [ranges, family] of [[ipv4, 'ipv4'] as const, [ipv6, 'ipv6'] as const]) {
    for (const range of ranges) {
      const [base, bits] = range.split('/')
      list.addSubnet(base, Number(bits), family)
    }
  }
  return list
}

export function addressKind(address: string): AddressKind {
  const inner = isIP(address) === 6 ? embeddedIpv4(address) : undefined
  if (inner !== undefined) return addressKind(inner)
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const isIn = (list: BlockList) => list.check(address, family)
  if (isIP(address) === 0 || address.includes('%') || isIn(lists.metadata)) return 'refused'
  if (isIn(lists.loopback)) return 'loopback'
  if (isIn(lists.private)) return 'private'
  if (isIn(lists.reserved) || isIn(lists.more)) return 'refused'
  return family === 'ipv4' || isIn(lists.unicast) ? 'global' : 'refused'
}

/** The IPv4 address in a mapped (::ffff:0:0/96) or NAT64 (64:ff9b::/96) one, which is where it leads. */
function embeddedIpv4(address: string): string | undefined {
  // URL writes every spelling of an address in one way: the shortest, in hex.
  if (!URL.canParse(`http://[${address}]`)) return undefined
  const [, high, low] =
    /^\[(?:::ffff|64:ff9b:):(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})\]$/.exec(new URL(`http://[${address}]`).hostname) ?? []
  if (low === undefined) return undefined
  const [a, b] = [Number.parseInt(high ?? '0', 16), Number.parseInt(low, 16)]
  return [a >> 8, a & 255, b >> 8, b & 255].join('.')
}

/** Which addresses a host of the configuration may lead to. */
export function allowedKinds(hostname: string, isPrivate: boolean): readonly AddressKind[] {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  // An address stands for itself: whoever writes it means it.
  if (isIP(host) !== 0) return ['global', 'private', 'loopback']
  if (host === 'localhost' || host.endsWith('.localhost')) return ['loopback']
  return isPrivate || isPrivateName(host) ? ['global', 'private', 'loopback'] : ['global']
}

/** A name that the public DNS does not have, such as a container's or a cluster's: its owner is who runs us. */
function isPrivateName(host: string): boolean {
  return !host.includes('.') || /\.(?:local|internal|lan|localdomain|home\.arpa|intranet|svc|test)$/.test(host)
}

/** The code of an error: an upstream's name led to an address that its configuration does not allow. */
export const addressRefused = 'PLUMBLINE_ADDRESS_REFUSED'

export type ResolveName = (
  hostname: string,
  options: { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface CheckedLookupOptions {
  readonly kinds: readonly AddressKind[]
  /** The operating system's when left out. */
  readonly resolve?: ResolveName
  /** Told what was not dialled. */
  readonly onRefused?: (message: string) => void
}

/**
 * Resolves a name for a connection and gives only addresses of the allowed kinds. The connection is made to just these,
 * so a name that changes its mind after a check (DNS rebinding) gains nothing.
 */
export function checkedLookup({ kinds, resolve = resolveName, onRefused }: CheckedLookupOptions): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, [])
      const allowed = addresses.filter(({ address }) => kinds.includes(addressKind(address)))
      const [first] = allowed
      if (first === undefined) {
        const message = `${hostname} leads to ${addresses.map(({ address }) => address).join(', ')}`
        onRefused?.(message)
        return done(Object.assign(new Error(message), { code: addressRefused }), [])
      }
      if (options.all) done(null, allowed)
      else done(null, first.address, first.family)
    })
  }
}
