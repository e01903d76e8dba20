/** Which tokens a request may generate, where that depends on those that it has generated. */
export interface TokenConstraint {
  /**
   * The tokens that may come next, as a mask: bit `id % 32` of word `id / 32`, for each token of the model's vocabulary. Asked for
   * before each token is chosen, when the ones before are known; where it `rewinds`, also after tokens that are guessed.
   * @param stream the request's tokens, of which the generated ones begin at `promptTokens`; valid until the next turn
   * @throws what then ends the request
   */
  allowed(stream: readonly number[], promptTokens: number): Promise<Uint32Array>;
  /** Whether it can be asked for one stream and then for another that differs in its last tokens. Otherwise nothing is guessed. */
  readonly rewinds?: boolean;
}
