import type { KeyScope } from '@plumbline/contracts'
import type { ComponentType } from 'react'
import { Alarms } from './pages/alarms.tsx'
import { Answers } from './pages/answers.tsx'
import { Evaluators } from './pages/evaluators.tsx'
import { Keys } from './pages/keys.tsx'
import { Overview } from './pages/overview.tsx'
import { Review } from './pages/review.tsx'
import { Runs } from './pages/runs.tsx'
import { Settings } from './pages/settings.tsx'

export interface PageProps {
  /** What the address has after the page's name. */
  readonly rest: readonly string[]
  readonly query: URLSearchParams
}

interface PageEntry {
  readonly name: string
  readonly title: string
  readonly scopes: readonly KeyScope[]
  readonly Page: ComponentType<PageProps>
}

/** In the order of the menu; the first that a key opens is where one starts. */
export const pages: readonly PageEntry[] = [
  { name: 'overview', title: 'Overview', scopes: ['admin'], Page: Overview },
  { name: 'answers', title: 'Answers', scopes: ['admin'], Page: Answers },
  { name: 'alarms', title: 'Alarms', scopes: ['admin'], Page: Alarms },
  { name: 'review', title: 'Review', scopes: ['reviewer', 'admin'], Page: Review },
  { name: 'evaluators', title: 'Evaluators', scopes: ['admin'], Page: Evaluators },
  { name: 'runs', title: 'Training runs', scopes: ['admin'], Page: Runs },
  { name: 'keys', title: 'Keys', scopes: ['admin'], Page: Keys },
  { name: 'settings', title: 'Settings', scopes: ['admin'], Page: Settings },
]
