import { ArgumentError, checkOptions } from '@heddle/tensor';
import { byteAlphabet, bytesInOrder } from './byte-alphabet.ts';
import { countWords } from './count-words.ts';
import { mergePairs, type Word } from './merge-pairs.ts';
import { tokenizerJson } from './tokenizer-json.ts';

/** Options of `trainBytePair`. */
export interface TrainBytePairOptions {
  /** Tokens in all: special ones, one for each of the 256 bytes, and merged ones. */
  readonly vocabularySize: number;
  /** Tokens that stand for no text, with the lowest ids, in this order. Default none. */
  readonly specialTokens?: readonly string[];
  /** One of `specialTokens`, put in front of every text that is encoded. Default none. */
  readonly beginToken?: string;
}

export interface BytePairTokenizer {
  /** Ids by token, in the byte-level alphabet of GPT-2. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Merged pairs of tokens, the first merge first. */
  readonly merges: readonly (readonly [string, string])[];
  /** The contents of a `tokenizer.json`, as Hugging Face's libraries read it. */
  toJSON(): object;
}

/**
 * Trains a byte-pair tokenizer: starting from bytes, the most frequent pair of neighbouring tokens becomes a token, again and
 * again. Texts are split into words as GPT-2 does, and no token reaches across words. Any text can be encoded. The same texts
 * give the same tokenizer: of equally frequent pairs the one with the greater bytes comes first.
 *
 * ```ts
 * const tokenizer = trainBytePair([text], { vocabularySize: 4096, specialTokens: ['<|endoftext|>'] });
 * await writeFile('tokenizer.json', JSON.stringify(tokenizer));
 * ```
 * Sources: https://arxiv.org/abs/1508.07909, and GPT-2 for the bytes.
 * @returns Fewer tokens than asked for where the texts have no further pairs.
 * @throws ArgumentError for a vocabulary too small for the bytes and special tokens, special tokens that are empty or occur
 *   twice, or a `beginToken` that is none of them
 */
export function trainBytePair(texts: Iterable<string>, options: TrainBytePairOptions): BytePairTokenizer {
  checkOptions('trainBytePair', options, { vocabularySize: 'number', specialTokens: 'texts?', beginToken: 'text?' });
  const { vocabularySize, specialTokens = [], beginToken } = options;
  check(texts, options);
  const alphabet = byteAlphabet();
  const order = bytesInOrder(alphabet);
  const base = specialTokens.length;
  const idOfByte = new Map(order.map((byte, i) => [byte, base + i]));
  // what each token stands for, a character per byte; special tokens stand for nothing
  const bytes = [...specialTokens.map(() => ''), ...order.map((byte) => String.fromCharCode(byte))];

  const encoder = new TextEncoder();
  const words: Word[] = [];
  for (const [word, count] of countWords(texts, specialTokens))
    words.push({ tokens: Array.from(encoder.encode(word), (byte) => idOfByte.get(byte)!), count });

  const merged = mergePairs(words, bytes, vocabularySize - bytes.length);
  const written = (id: number) => Array.from(bytes[id]!, (byte) => alphabet[byte.charCodeAt(0)]!).join('');
  const vocabulary = new Map<string, number>(specialTokens.map((token, id) => [token, id]));
  for (let id = base; id < bytes.length; id++) vocabulary.set(written(id), id);
  const merges = merged.map(([first, second]) => [written(first), written(second)] as const);
  return { vocabulary, merges, toJSON: () => tokenizerJson(vocabulary, merges, specialTokens, beginToken) };
}

function check(texts: unknown, { vocabularySize, specialTokens = [], beginToken }: TrainBytePairOptions): void {
  if (typeof texts === 'string' || typeof texts !== 'object' || texts === null || !(Symbol.iterator in texts))
    throw new ArgumentError(`trainBytePair: texts must be an iterable of strings, got ${typeof texts}`);
  const least = 256 + specialTokens.length;
  if (!Number.isSafeInteger(vocabularySize) || vocabularySize < least || vocabularySize > 2 ** 26)
    throw new ArgumentError(
      `trainBytePair: vocabularySize must be a whole number from ${least} (256 bytes and the special tokens) to ${2 ** 26}, got ${vocabularySize}`,
    );
  for (const [i, token] of specialTokens.entries())
    if (typeof token !== 'string' || token === '' || specialTokens.indexOf(token) !== i)
      throw new ArgumentError(
        `trainBytePair: special tokens must be different texts, got ${JSON.stringify(specialTokens)}`,
      );
  if (beginToken !== undefined && !specialTokens.includes(beginToken))
    throw new ArgumentError(
      `trainBytePair: beginToken must be one of the special tokens ${JSON.stringify(specialTokens)}, got ${JSON.stringify(beginToken)}`,
    );
}
