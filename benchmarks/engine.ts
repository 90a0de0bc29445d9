import { defineBench } from './bench.ts'
import { commandToFirstToken, installToFirstToken } from './engine/first-token.ts'
import { forwardBackward } from './engine/forward-backward.ts'
import { generation, generationWithoutLuck } from './engine/generation.ts'
import { trainingMemory } from './engine/memory.ts'
import { adamw } from './engine/optimizer.ts'
import { openEngineWorld } from './engine/world.ts'

/** SmolLM2-135M in fp32 on all cores, against torch and transformers. */
export const engine = defineBench({
  name: 'engine',
  summary: 'SmolLM2-135M, fp32, all cores, against torch and transformers',
  sections: [
    forwardBackward({ rows: 4, time: 128 }, 5),
    adamw,
    generation(1, 3, 5),
    generationWithoutLuck(5),
    generation(16, 1.5, 3),
    forwardBackward({ rows: 8, time: 256 }, 3),
    trainingMemory,
    commandToFirstToken,
    installToFirstToken,
  ],
  open: openEngineWorld,
  close: (world) => world.close(),
})
