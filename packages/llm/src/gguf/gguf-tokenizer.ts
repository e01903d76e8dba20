import { FileFormatError } from '@heddle/tensor';
import { createTokenizer, type TokenizerResult } from '../tokenizer.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { mergesByScore } from './score-merges.ts';

/** What a token is, by the numbers of the format. */
const kinds = { unknown: 2, control: 3, userDefined: 4 } as const;

/** GPT-2's way of splitting a text before byte pairs are joined; others differ in contractions and digits. */
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
const singleDigits = {
  type: 'Sequence',
  pretokenizers: [
    { type: 'Digits', individual_digits: true },
    { ...byteLevel, use_regex: true },
  ],
};
const splitBy = (digits: string) => ({
  type: 'Sequence',
  pretokenizers: [
    {
      type: 'Split',
      pattern: {
        Regex: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
      },
      behavior: 'Isolated',
      invert: false,
    },
    { ...byteLevel, use_regex: false },
  ],
});

/** How texts are split, by what `tokenizer.ggml.pre` says. */
const preTokenizers: Readonly<Record<string, object>> = {
  'gpt-2': { ...byteLevel, use_regex: true },
  'phi-2': { ...byteLevel, use_regex: true },
  olmo: { ...byteLevel, use_regex: true },
  smollm: singleDigits,
  starcoder: singleDigits,
  'llama-bpe': splitBy('\\p{N}{1,3}'),
  llama3: splitBy('\\p{N}{1,3}'),
  qwen2: splitBy('\\p{N}'),
};

/** What GGUF files call the way of a tokenizer.json to split texts; undefined where it has no name there. */
export function splitName(preTokenizer: unknown): string | undefined {
  const text = plain(preTokenizer);
  return Object.keys(preTokenizers).find((name) => plain(preTokenizers[name]) === text);
}

/** With what has no effect on how texts are split left out, and keys in order. */
function plain(value: unknown): string {
  const omitted = new Set(['trim_offsets']);
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(
          Object.entries(part)
            .filter(([key]) => !omitted.has(key))
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        )
      : part,
  );
}

/**
 * The tokenizer of a GGUF file, from its metadata.
 * @returns The reason in place of a tokenizer where the file has none, or one of a kind that is not read.
 * @throws FileFormatError `ERR_CONFIG`, `ERR_TOKENIZER` for metadata that does not fit
 */
export function ggufTokenizer(file: GgufFile): TokenizerResult {
  const metadata = new GgufMetadata(file);
  const model = metadata.string('tokenizer.ggml.model');
  const none = (reason: string): TokenizerResult => ({ tokenizer: undefined, reason: `${file.label} ${reason}` });
  const tokens = metadata.strings('tokenizer.ggml.tokens');
  if (model === undefined || model === 'none' || model === 'no_vocab' || !tokens) return none('has no tokenizer');
  if (model !== 'llama' && model !== 'gpt2')
    return none(`has a tokenizer of the kind ${model}: llama and gpt2 are read`);
  const pre = metadata.string('tokenizer.ggml.pre') ?? 'default';
  if (model === 'gpt2' && !Object.hasOwn(preTokenizers, pre))
    return none(`splits texts by ${pre}: ${Object.keys(preTokenizers).join(', ')} are known`);
  const repeated = tokens.length - new Set(tokens).size;
  if (repeated > 0)
    throw new FileFormatError(`tokenizer: ${file.label}: ${repeated} tokens occur twice`, { code: 'ERR_TOKENIZER' });
  const parts = model === 'llama' ? byScores(metadata, tokens) : byMerges(metadata, tokens, preTokenizers[pre]!);
  const definition = {
    version: '1.0',
    added_tokens: addedTokens(metadata, tokens),
    post_processor: surrounded(metadata, tokens, model === 'llama'),
    ...parts,
  };
  return { tokenizer: createTokenizer(definition, settings(metadata, tokens), file.label, namedTemplates(metadata)) };
}

/** Byte pairs over a byte-level alphabet, as GPT-2 has them. */
function byMerges(metadata: GgufMetadata, tokens: readonly string[], preTokenizer: object): object {
  const merges =
    metadata.strings('tokenizer.ggml.merges') ?? metadata.fail('tokenizer.ggml.merges', 'a list of merges');
  const ignore = metadata.string('tokenizer.ggml.pre')?.startsWith('llama') ?? false;
  return {
    normalizer: null,
    pre_tokenizer: preTokenizer,
    decoder: { type: 'ByteLevel' },
    // a space may be part of what is merged, so the text of a merge is taken apart here
    model: {
      type: 'BPE',
      vocab: vocabularyOf(tokens),
      merges: merges.map(pairOf),
      byte_fallback: false,
      ignore_merges: ignore,
    },
  };
}

function pairOf(merge: string): readonly [string, string] {
  const space = merge.indexOf(' ', 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
}

/** Pieces with scores, as SentencePiece has them: what scores higher is joined first. */
function byScores(metadata: GgufMetadata, tokens: readonly string[]): object {
  const scores =
    metadata.numbers('tokenizer.ggml.scores') ?? metadata.fail('tokenizer.ggml.scores', 'a list of scores');
  if (scores.length !== tokens.length) metadata.fail('tokenizer.ggml.scores', `${tokens.length} scores`);
  const prefix = metadata.boolean('tokenizer.ggml.add_space_prefix') ?? true;
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const unknown = tokens[metadata.number('tokenizer.ggml.unknown_token_id') ?? 0];
  return {
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, spaces] } : spaces,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      vocab: vocabularyOf(tokens),
      merges: mergesByScore(tokens, scores),
      byte_fallback: true,
      fuse_unk: true,
      unk_token: unknown,
    },
  };
}

function vocabularyOf(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

function addedTokens(metadata: GgufMetadata, tokens: readonly string[]): readonly object[] {
  const types = metadata.numbers('tokenizer.ggml.token_type') ?? [];
  return tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== kinds.control && type !== kinds.userDefined && type !== kinds.unknown) return [];
    const special = type !== kinds.userDefined;
    return [{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }];
  });
}

/** The tokens that stand around a text by default. */
function surrounded(metadata: GgufMetadata, tokens: readonly string[], beginsByDefault: boolean): object | null {
  const named = (role: 'bos' | 'eos', byDefault: boolean) => {
    if (!(metadata.boolean(`tokenizer.ggml.add_${role}_token`) ?? byDefault)) return undefined;
    const id = metadata.number(`tokenizer.ggml.${role}_token_id`) ?? (role === 'bos' ? 1 : 2);
    const token = tokens[id] ?? metadata.fail(`tokenizer.ggml.${role}_token_id`, `an id below ${tokens.length}`);
    return { id, token };
  };
  const [bos, eos] = [named('bos', beginsByDefault), named('eos', false)];
  if (!bos && !eos) return null;
  const part = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [
      ...(bos ? [part(bos.token)] : []),
      { Sequence: { id: 'A', type_id: 0 } },
      ...(eos ? [part(eos.token)] : []),
    ],
    pair: [],
    special_tokens: Object.fromEntries(
      [bos, eos].flatMap((used) =>
        used ? [[used.token, { id: used.token, ids: [used.id], tokens: [used.token] }]] : [],
      ),
    ),
  };
}

/** What a tokenizer_config.json would say. */
function settings(metadata: GgufMetadata, tokens: readonly string[]): object {
  const token = (role: string) => {
    const id = metadata.number(`tokenizer.ggml.${role}_token_id`);
    return id === undefined ? undefined : tokens[id];
  };
  const named = {
    bos_token: token('bos'),
    eos_token: token('eos'),
    unk_token: token('unknown'),
    pad_token: token('padding'),
  };
  const template = metadata.string('tokenizer.chat_template');
  return {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    ...(template !== undefined && { chat_template: template }),
    clean_up_tokenization_spaces: false,
  };
}

function namedTemplates(metadata: GgufMetadata): { readonly additional: Record<string, string> } {
  const additional: Record<string, string> = {};
  for (const name of metadata.strings('tokenizer.chat_templates') ?? []) {
    const text = metadata.string(`tokenizer.chat_template.${name}`);
    if (text !== undefined) additional[name] = text;
  }
  return { additional };
}
