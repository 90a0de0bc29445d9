export type { StoredSecret } from './secrets.ts'
export { gapPayload, interactionPayload, type Shipper, startShipper } from './spool/shipper.ts'
export { openSpool, type Spool, SpoolFull, type SpoolState } from './spool/spool.ts'
export { type Gap, openStore, type Page, type RecordRow, type Store, type StoredKey, type StorePlace } from './store.ts'
