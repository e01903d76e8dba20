/** The tokens of a vocabulary as a tree of bytes, nodes in the order of a walk that goes down first. */
export interface TokenTrie {
  readonly vocabularySize: number;
  readonly bytes: Uint8Array;
  /** Of each node: how many bytes lead to it, from 1. */
  readonly depths: Uint16Array;
  /** Of each node: the next one that is not below it. */
  readonly after: Int32Array;
  /** Of each node: where its tokens begin in `tokens`; one entry more than nodes. */
  readonly tokensAt: Int32Array;
  readonly tokens: Int32Array;
  readonly deepest: number;
}

/** @param vocabulary the bytes of each token; `undefined` where a token is no text (those that begin and end texts) */
export function tokenTrie(vocabulary: readonly (Uint8Array | undefined)[]): TokenTrie {
  const ids = [...vocabulary.keys()].filter((id) => (vocabulary[id]?.length ?? 0) > 0);
  ids.sort((a, b) => compare(vocabulary[a]!, vocabulary[b]!));
  const bytes: number[] = [];
  const depths: number[] = [];
  const tokensAt: number[] = [];
  const tokens: number[] = [];
  let before: Uint8Array = new Uint8Array();
  let deepest = 0;
  for (const id of ids) {
    const word = vocabulary[id]!;
    let shared = 0;
    while (shared < before.length && shared < word.length && before[shared] === word[shared]) shared++;
    for (let depth = shared; depth < word.length; depth++) {
      bytes.push(word[depth]!);
      depths.push(depth + 1);
      tokensAt.push(tokens.length);
    }
    tokens.push(id);
    deepest = Math.max(deepest, word.length);
    before = word;
  }
  tokensAt.push(tokens.length);
  return {
    vocabularySize: vocabulary.length,
    bytes: Uint8Array.from(bytes),
    depths: Uint16Array.from(depths),
    after: nodesAfter(depths),
    tokensAt: Int32Array.from(tokensAt),
    tokens: Int32Array.from(tokens),
    deepest,
  };
}

function nodesAfter(depths: readonly number[]): Int32Array {
  const after = new Int32Array(depths.length);
  const open: number[] = [];
  for (let node = 0; node <= depths.length; node++) {
    const depth = depths[node] ?? 0;
    while (open.length > 0 && depths[open.at(-1)!]! >= depth) after[open.pop()!] = node;
    open.push(node);
  }
  return after;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
