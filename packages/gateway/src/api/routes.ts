import { auditRoutes } from './audit.ts'
import { interactionRoutes } from './interactions.ts'
import { keyRoutes } from './keys.ts'
import { operatorRoutes } from './operator.ts'
import type { Route } from './route.ts'
import { sessionRoutes } from './session.ts'
import { subjectRoutes } from './subjects.ts'

/** Everything below /api/. */
export const routes: readonly Route[] = [
  ...interactionRoutes,
  ...keyRoutes,
  ...subjectRoutes,
  ...auditRoutes,
  ...sessionRoutes,
  ...operatorRoutes,
]
