export const smollm2Path = async (): Promise<string> => process.env.SMOL!
