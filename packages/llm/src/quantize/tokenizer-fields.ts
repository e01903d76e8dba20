import type { GgufField } from '../gguf/gguf-field.ts';
import { splitName } from '../gguf/gguf-tokenizer.ts';

/** What is read of a tokenizer.json. */
interface TokenizerFile {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
  readonly normalizer?: { readonly normalizers?: readonly { readonly type: string }[] } | null;
  readonly pre_tokenizer?: object | null;
  readonly post_processor?: { readonly single?: readonly object[] } | null;
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges?: readonly (string | readonly [string, string])[];
    readonly byte_fallback?: boolean;
    readonly unk_token?: string | null;
  };
}

/** Kinds of tokens, by the numbers of the format. */
const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** Fields of a tokenizer, or why it cannot be said in a GGUF file. */
export type TokenizerFields =
  | { readonly fields: Readonly<Record<string, GgufField>>; readonly reason?: undefined }
  | { readonly fields?: undefined; readonly reason: string };

/**
 * A tokenizer.json in the words of GGUF files: byte pairs over bytes, split in one of the ways that have a name there, or pieces
 * with scores.
 */
export function tokenizerFields(
  text: string,
  options: { readonly vocabularySize: number; readonly chatTemplate: string | undefined },
): TokenizerFields {
  const file = JSON.parse(text) as TokenizerFile;
  const { model } = file;
  if (model?.type !== 'BPE' || !model.merges) return { reason: `it is a ${model?.type} model, not byte pairs` };
  const tokens = tokensOf(file, options.vocabularySize);
  const merges = model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
  const split = splitName(file.pre_tokenizer ?? null);
  const own = model.byte_fallback ? pieces(tokens, model.merges, file) : split && byteLevel(split, merges);
  if (!own) return { reason: 'it splits texts in a way that has no name there' };
  const types = tokenTypes(file, tokens);
  return {
    fields: {
      ...own,
      'tokenizer.ggml.tokens': ['strings', tokens],
      'tokenizer.ggml.token_type': ['i32s', types],
      ...surrounded(file),
      ...(options.chatTemplate !== undefined && { 'tokenizer.chat_template': ['string', options.chatTemplate] }),
    },
  };
}

const byteLevel = (split: string, merges: readonly string[]): Readonly<Record<string, GgufField>> => ({
  'tokenizer.ggml.model': ['string', 'gpt2'],
  'tokenizer.ggml.pre': ['string', split],
  'tokenizer.ggml.merges': ['strings', merges],
});

/** Scores fall with the place of the first merge that makes a piece, so that the same are joined first. */
function pieces(
  tokens: readonly string[],
  merges: NonNullable<TokenizerFile['model']['merges']>,
  { normalizer, model }: TokenizerFile,
): Readonly<Record<string, GgufField>> {
  const scores = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const piece = typeof merge === 'string' ? merge.replace(' ', '') : merge.join('');
    if (!scores.has(piece)) scores.set(piece, -rank - 1);
  }
  const unknown = model.unk_token == null ? undefined : model.vocab[model.unk_token];
  const prefix = normalizer?.normalizers?.some(({ type }) => type === 'Prepend') ?? false;
  return {
    'tokenizer.ggml.model': ['string', 'llama'],
    'tokenizer.ggml.pre': ['string', 'default'],
    'tokenizer.ggml.scores': ['f32s', tokens.map((token) => scores.get(token) ?? 0)],
    'tokenizer.ggml.add_space_prefix': ['bool', prefix],
    ...(unknown !== undefined && { 'tokenizer.ggml.unknown_token_id': ['u32', unknown] }),
  };
}

/** Tokens by id, as many as the embedding has rows: what it has beyond the vocabulary is padding. */
function tokensOf({ model, added_tokens: added = [] }: TokenizerFile, size: number): string[] {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  for (const [token, id] of Object.entries(model.vocab)) if (id < size) tokens[id] = token;
  for (const { id, content } of added) if (id < size) tokens[id] = content;
  return tokens;
}

function tokenTypes(file: TokenizerFile, tokens: readonly string[]): number[] {
  const { model, added_tokens: added = [] } = file;
  const types = tokens.map((token, id) => {
    if (model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(token)) return kinds.byte;
    return token === `[PAD${id}]` && !Object.hasOwn(model.vocab, token) ? kinds.unused : kinds.normal;
  });
  for (const { id, content, special } of added)
    if (id < types.length)
      types[id] = content === model.unk_token ? kinds.unknown : special ? kinds.control : kinds.userDefined;
  return types;
}

/** Whether tokens stand before and after a text. */
function surrounded({ post_processor: processor }: TokenizerFile): Readonly<Record<string, GgufField>> {
  const single = processor?.single ?? [];
  const isToken = (part: object | undefined) => part !== undefined && 'SpecialToken' in part;
  return {
    'tokenizer.ggml.add_bos_token': ['bool', isToken(single[0])],
    'tokenizer.ggml.add_eos_token': ['bool', single.length > 1 && isToken(single.at(-1))],
  };
}
