import type { Command } from './command.ts'

/** Every command by name. A command's file is read only when it is run, or for an overview. */
export const commands = {
  chat: async () => (await import('./commands/chat.ts')).chat,
  generate: async () => (await import('./commands/generate.ts')).generate,
  score: async () => (await import('./commands/score.ts')).score,
  evaluate: async () => (await import('./commands/evaluate.ts')).evaluateCommand,
  align: async () => (await import('./commands/align.ts')).align,
  sft: async () => (await import('./commands/sft.ts')).sft,
  reward: async () => (await import('./commands/reward.ts')).reward,
  ppo: async () => (await import('./commands/ppo.ts')).ppo,
  'models pull': async () => (await import('./commands/models.ts')).modelsPull,
  'models list': async () => (await import('./commands/models.ts')).modelsList,
  'models rm': async () => (await import('./commands/models.ts')).modelsRemove,
  serve: async () => (await import('./commands/serve.ts')).serve,
  gateway: async () => (await import('./commands/gateway.ts')).gateway,
  worker: async () => (await import('./commands/worker.ts')).worker,
  'data export': async () => (await import('./commands/data.ts')).dataExport,
  'data delete': async () => (await import('./commands/data.ts')).dataDelete,
  'data redact': async () => (await import('./commands/data.ts')).dataRedact,
  'data retain': async () => (await import('./commands/data.ts')).dataRetain,
  backup: async () => (await import('./commands/backup.ts')).backup,
  restore: async () => (await import('./commands/backup.ts')).restore,
  'guards test': async () => (await import('./commands/guards.ts')).guardsTest,
  env: async () => (await import('./commands/env.ts')).env,
  version: async () => (await import('./commands/version.ts')).version,
} satisfies Record<string, () => Promise<Command>>
