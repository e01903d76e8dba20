/** What an engine has done so far. */
export interface StepCounts {
  steps: number;
  /** Token rows that were computed, of prompts and generated ones, those that were computed again too. */
  computedTokens: number;
  /** Tokens that were chosen, those after a late stop too. */
  generatedTokens: number;
  /** Guessed tokens that steps had as drafts, and those of them that were right. */
  draftedTokens: number;
  acceptedTokens: number;
  /** Requests that go on without guesses because their drafter failed, and the last error of a drafter. */
  failedDrafts: number;
  draftError: unknown;
}
