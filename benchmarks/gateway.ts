import { defineBench } from './bench.ts'
import { away } from './gateway/away.ts'
import { kill } from './gateway/kill.ts'
import { latency } from './gateway/latency.ts'
import { memory } from './gateway/memory.ts'
import { shipping } from './gateway/shipping.ts'
import { streaming } from './gateway/streaming.ts'
import { throughput } from './gateway/throughput.ts'
import { openGatewayWorld } from './gateway/world.ts'

/** `plumb serve` in front of an upstream that answers at once: what it adds, what it bears, what it loses. */
export const gateway = defineBench({
  name: 'gateway',
  summary: 'plumb serve before an upstream that answers at once; load generator, upstream and gateway share the cores',
  sections: [latency, throughput, streaming, shipping, kill, away, memory],
  open: openGatewayWorld,
  close: (world) => world.close(),
})
