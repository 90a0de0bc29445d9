import { defineBench } from './bench.ts'
import { mainJob } from './trainers/main-job.ts'
import { ppo } from './trainers/ppo.ts'
import { rewardModel, supervisedFineTuning } from './trainers/supervised.ts'
import { openTrainersWorld } from './trainers/world.ts'

/** The trainers on SmolLM2-135M, on all cores, optimizer included, against TRL at the better of fp32 and bf16. */
export const trainers = defineBench({
  name: 'trainers',
  summary: 'the trainers on SmolLM2-135M, all cores, against TRL at the better of fp32 and bf16',
  sections: [supervisedFineTuning, rewardModel, ppo, mainJob],
  open: openTrainersWorld,
  close: (world) => world.close(),
})
