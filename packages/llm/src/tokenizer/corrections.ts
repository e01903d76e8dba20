import type { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';

/*
 * Where the library gives other ids or texts than the tokenizers of Python. Everything that is done about it is here; the
 * version of the library is pinned, and corrections.test.ts holds the values of Python.
 */

interface AddedToken {
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}
interface PreTokenizerOptions {
  readonly section_index?: number;
}
/** What is touched of the library's objects. */
interface Inner {
  readonly normalizer: (((text: string) => string) & NormalizerPart) | null;
  readonly pre_tokenizer: (((text: string, options: PreTokenizerOptions) => string[]) & PreTokenizerPart) | null;
  readonly decoder: DecoderPart | null;
  readonly model: (pieces: readonly string[]) => string[];
  readonly added_tokens_map: ReadonlyMap<string, AddedToken>;
  readonly splitter_unnormalized: { split(text: string): string[] };
  readonly splitter_normalized: { split(text: string): string[] };
  encode_text: (text: string | null) => string[] | null;
}
interface NormalizerPart {
  readonly normalizers?: readonly NormalizerPart[];
  readonly config: Readonly<Record<string, unknown>>;
  normalize: (text: string) => string;
}
interface PreTokenizerPart {
  readonly tokenizers?: readonly PreTokenizerPart[];
  pre_tokenize: (text: string | readonly string[], options?: PreTokenizerOptions) => string[];
  pre_tokenize_text: (text: string, options?: PreTokenizerOptions) => string[];
}
interface DecoderPart {
  readonly decoders?: readonly DecoderPart[];
  text_decoder?: TextDecoder;
}

/** The files with what Python reads of them and the library does not. */
export function correctFiles(definition: object, settings: object): object {
  return withTokensOfSettings(definition, settings);
}

/** Puts right what the library would do otherwise than Python. */
export function correctTokenizer(tokenizer: HuggingFaceTokenizer, definition: object): void {
  const inner = tokenizer as unknown as Inner;
  if (inner.normalizer) correctNormalizer(inner.normalizer);
  const { pre_tokenizer: stated } = definition as { pre_tokenizer?: unknown };
  if (inner.pre_tokenizer) correctPreTokenizer(inner.pre_tokenizer, stated);
  if (inner.decoder) correctDecoder(inner.decoder);
  inner.encode_text = (text) => (text === null ? null : encodeText(inner, text));
}

/** Tokens that stand only in `added_tokens_decoder` of `tokenizer_config.json` are tokens, too. */
function withTokensOfSettings(definition: object, settings: object): object {
  const { added_tokens_decoder: more } = settings as { added_tokens_decoder?: unknown };
  if (typeof more !== 'object' || more === null) return definition;
  const { added_tokens: stated = [] } = definition as { added_tokens?: readonly { id: number; content: string }[] };
  if (!Array.isArray(stated)) return definition;
  const known = new Set(stated.map(({ content }) => content));
  const missing = Object.entries(more).flatMap(([id, token]) => {
    const { content } = (token ?? {}) as { content?: unknown };
    return typeof content === 'string' && !known.has(content) ? [{ ...(token as object), id: Number(id) }] : [];
  });
  return missing.length > 0 ? { ...definition, added_tokens: [...stated, ...missing] } : definition;
}

/** White space as Unicode has it: JavaScript's own counts U+FEFF and leaves out U+0085. */
const leadingSpace = /^\p{White_Space}+/u;
const trailingSpace = /\p{White_Space}+$/u;

function correctNormalizer(part: NormalizerPart): void {
  for (const inner of part.normalizers ?? []) if (inner) correctNormalizer(inner);
  if (part.config?.['type'] !== 'Strip') return;
  const { strip_left: left, strip_right: right } = part.config;
  part.normalize = (text) => {
    const begun = left ? text.replace(leadingSpace, '') : text;
    return right ? begun.replace(trailingSpace, '') : begun;
  };
}

function correctPreTokenizer(part: PreTokenizerPart, stated: unknown): void {
  const { type, pretokenizers = [] } = (stated ?? {}) as { type?: unknown; pretokenizers?: readonly unknown[] };
  (part.tokenizers ?? []).forEach((inner, i) => {
    if (inner) correctPreTokenizer(inner, pretokenizers[i]);
  });
  const replace = (pieces: (text: string) => string[]) => {
    part.pre_tokenize_text = pieces;
  };
  if (type === 'Metaspace') correctMetaspace(part, stated as MetaspaceSettings);
  if (type === 'Whitespace') replace((text) => text.match(wordsAndSigns) ?? []);
  if (type === 'WhitespaceSplit') replace((text) => text.match(/\P{White_Space}+/gu) ?? []);
  if (type === 'ByteLevel') {
    const level = part as PreTokenizerPart & { pattern: RegExp };
    level.pattern = byteLevelPattern;
  }
}

const word = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const wordsAndSigns = new RegExp(`[${word}]+|[^${word}\\p{White_Space}]+`, 'gu');
const byteLevelPattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

interface MetaspaceSettings {
  readonly replacement?: string;
  readonly prepend_scheme?: 'always' | 'first' | 'never';
  readonly add_prefix_space?: boolean;
  readonly split?: boolean;
}

/** Only the piece that begins the text has a prefix by `first`; pieces are split before the sign unless `split` is false. */
function correctMetaspace(part: PreTokenizerPart, settings: MetaspaceSettings): void {
  const { replacement = '▁', add_prefix_space: legacy, split = true } = settings;
  const { prepend_scheme: scheme = legacy === false ? 'never' : 'always' } = settings;
  const before = new RegExp(`(?=${replacement.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')})`, 'u');
  const pieces = (text: string, isFirst: boolean) => {
    const signed = text.replaceAll(' ', replacement);
    const prefixed = (scheme === 'always' || (scheme === 'first' && isFirst)) && !signed.startsWith(replacement);
    const whole = prefixed ? replacement + signed : signed;
    return split ? whole.split(before) : [whole];
  };
  part.pre_tokenize = (text, options) => {
    const begins = options?.section_index === 0;
    return typeof text === 'string'
      ? pieces(text, begins)
      : text.flatMap((piece, i) => pieces(piece, begins && i === 0));
  };
}

/** A byte order mark that tokens spell is text. */
function correctDecoder(part: DecoderPart): void {
  for (const inner of part.decoders ?? []) if (inner) correctDecoder(inner);
  if (part.text_decoder) part.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}

const endsWithWord = new RegExp(`[${word}]$`, 'u');
const beginsWithWord = new RegExp(`^[${word}]`, 'u');

/** A part of a text: an added token, or what lies between such. */
interface Section {
  readonly text: string;
  readonly isToken: boolean;
  /** Whether nothing stands before it. */
  readonly isFirst: boolean;
}

function encodeText(inner: Inner, text: string): string[] {
  const pieces: string[] = [];
  for (const section of sections(inner, text, inner.splitter_unnormalized, true)) {
    if (section.isToken) {
      pieces.push(section.text);
      continue;
    }
    const normal = inner.normalizer ? inner.normalizer(section.text) : section.text;
    for (const part of sections(inner, normal, inner.splitter_normalized, section.isFirst)) {
      if (part.isToken) pieces.push(part.text);
      else {
        const words = inner.pre_tokenizer
          ? inner.pre_tokenizer(part.text, { section_index: part.isFirst ? 0 : 1 })
          : [part.text];
        // not as arguments of one call, of which there may only be so many
        for (const piece of inner.model(words)) pieces.push(piece);
      }
    }
  }
  return pieces;
}

/** Takes added tokens out of a text, with the white space that they take; words only where they stand alone. */
function sections(inner: Inner, text: string, splitter: Inner['splitter_normalized'], isFirst: boolean): Section[] {
  const found: Section[] = [];
  let begin = 0; // of the plain text that is being gathered
  let offset = 0;
  const plain = (end: number) => {
    if (end > begin) found.push({ text: text.slice(begin, end), isToken: false, isFirst: isFirst && begin === 0 });
  };
  for (const part of splitter.split(text)) {
    const token = inner.added_tokens_map.get(part);
    const start = offset;
    offset += part.length;
    if (!token || (token.single_word && !standsAlone(text, start, offset))) continue;
    const space = token.lstrip ? (trailingSpace.exec(text.slice(begin, start))?.[0].length ?? 0) : 0;
    plain(start - space);
    found.push({ text: part, isToken: true, isFirst: false });
    begin = offset + (token.rstrip ? (leadingSpace.exec(text.slice(offset))?.[0].length ?? 0) : 0);
  }
  plain(text.length);
  return found;
}

function standsAlone(text: string, start: number, end: number): boolean {
  return !endsWithWord.test(text.slice(0, start)) && !beginsWithWord.test(text.slice(end));
}
