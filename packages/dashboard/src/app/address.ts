import { useSyncExternalStore } from 'react'
import { withQuery } from './api.ts'

/** Where one is, kept behind the `#`: the server knows one page, the back button and links work. */
export interface Address {
  /** `#/answers/abc` → ['answers', 'abc'] */
  readonly path: readonly string[]
  readonly query: URLSearchParams
}

const subscribe = (changed: () => void) => {
  window.addEventListener('hashchange', changed)
  return () => window.removeEventListener('hashchange', changed)
}

export function useAddress(): Address {
  return readAddress(useSyncExternalStore(subscribe, () => window.location.hash))
}

export function readAddress(hash: string): Address {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s)
  return { path: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** `#/answers?model=m`, without parameters that are empty. */
export function addressOf(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  return withQuery(`#/${path.map(encodeURIComponent).join('/')}`, query)
}

export function go(address: string): void {
  window.location.hash = address
}
