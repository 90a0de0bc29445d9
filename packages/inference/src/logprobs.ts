import type { Piece, ServedModel } from './call.ts'

/** A token's log-probability as chat answers give it. */
function tokenLogprob(tokenId: number, logprob: number, { tokenizer }: Pick<ServedModel, 'tokenizer'>) {
  const token = tokenizer.decode([tokenId])
  // Part of a character has no text of its own, and its bytes are not known here.
  const bytes = token.includes('\uFFFD') ? null : [...Buffer.from(token)]
  return { token, logprob, bytes }
}

export function chatLogprobs(pieces: readonly Piece[], model: ServedModel) {
  return {
    content: pieces.map(({ tokenId, logprob, alternatives }) => ({
      ...tokenLogprob(tokenId, logprob, model),
      top_logprobs: alternatives.map((one) => tokenLogprob(one.tokenId, one.logprob, model)),
    })),
    refusal: null,
  }
}

/** Four lists side by side, as text completions give them. */
export function textLogprobs(pieces: readonly Piece[], { tokenizer }: ServedModel) {
  const text = (tokenId: number) => tokenizer.decode([tokenId])
  return {
    tokens: pieces.map(({ tokenId }) => text(tokenId)),
    token_logprobs: pieces.map(({ logprob }) => logprob),
    top_logprobs: pieces.map(({ alternatives }) =>
      Object.fromEntries(alternatives.map(({ tokenId, logprob }) => [text(tokenId), logprob])),
    ),
    text_offset: pieces.map(({ start }) => start),
  }
}
