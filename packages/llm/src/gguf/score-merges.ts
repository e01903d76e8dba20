/**
 * The merges of a vocabulary with scores: every pair of tokens that joined is a token, that of the highest score first.
 * Of one token the pairs come as SentencePiece would find them, longer left parts first.
 */
export function mergesByScore(tokens: readonly string[], scores: readonly number[]): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  tokens.forEach((token, id) => {
    // tokens that spell a byte are no text
    if (/^<0x[0-9A-F]{2}>$/.test(token)) return;
    for (let at = token.length - 1; at > 0; at--) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (ids.has(left) && ids.has(right)) merges.push({ pair: [left, right], score: scores[id]! });
    }
  });
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}
