/** The head over the vocabulary, [vocabSize, hiddenSize], where it is not the embedding. */
export const UNTIED_HEAD = 'lm_head.weight'

/** The head of a reward model, [1, hiddenSize]. */
export const SCORE_HEAD = 'score.weight'
