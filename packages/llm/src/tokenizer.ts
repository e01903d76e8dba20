import { ArgumentError, checkArguments, checkOptions, FileFormatError } from '@heddle/tensor';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { parsePythonJson } from './config/python-json.ts';
import { describe } from './describe.ts';
import type { HubOptions } from './hub/hub-options.ts';
import { fileLabel, type ModelFiles, modelFiles, readTextFile } from './model-files.ts';
import {
  type ChatMessage,
  type ChatTemplateOptions,
  chatTemplates,
  type TemplateSources,
} from './tokenizer/chat-template.ts';
import { correctFiles, correctTokenizer } from './tokenizer/corrections.ts';
import { type IncrementalDecoder, incrementalDecoder } from './tokenizer/incremental-decoder.ts';
import { tokenBytes } from './tokenizer/token-bytes.ts';

/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the highest token id; a model's logits may be wider. */
  readonly vocabularySize: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  /**
   * Token ids of a text, with the tokens that the model expects around it unless `addSpecialTokens` is false.
   * @throws ArgumentError for what is no text
   */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /**
   * Text of token ids, exactly as the tokens spell it: spaces before punctuation stay. Ids that the vocabulary lacks
   * stand for no text.
   *
   * @throws ArgumentError if an id is no non-negative integer.
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** Decodes token by token: the pieces joined are what `decode` gives, and none holds half a character. */
  stream(options?: StreamOptions): IncrementalDecoder;
  /**
   * What each token adds to a text, in bytes of UTF-8, by id: parts of characters, too. `undefined` where it is no text, as
   * tokens that begin and end one.
   */
  tokenBytes(): readonly (Uint8Array | undefined)[];
  /** Names of its chat templates; `default` is the usual one. Empty where it has none. */
  readonly chatTemplateNames: readonly string[];
  /** The text of one of its chat templates, by default of `default`. */
  chatTemplateText(name?: string): string | undefined;
  /**
   * The text of a conversation as the model was trained on it: `encode` it without special tokens, for it has them. The
   * template is a program that came with the model; it runs within limits of steps, output and time.
   *
   * @throws ArgumentError for messages that are none, or where there is no such template; `ERR_CHAT_MESSAGES` where the
   *   template refuses them; FileFormatError `ERR_CHAT_TEMPLATE` where it fails, `ERR_CHAT_TEMPLATE_LIMIT` where it does not end
   * @example tokenizer.encode(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true }), { addSpecialTokens: false })
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

/** Options of `decode` of a tokenizer. */
export interface DecodeOptions {
  /** Leave out tokens such as those that begin and end a text; false if absent. */
  readonly skipSpecialTokens?: boolean;
}

/** Options of `stream` of a tokenizer. */
export interface StreamOptions extends DecodeOptions {
  /** Tokens that the stream continues, usually the prompt: their text is not given again. */
  readonly after?: readonly number[];
}

/** A tokenizer, or why there is none. */
export type TokenizerResult =
  | { readonly tokenizer: Tokenizer; readonly reason?: undefined }
  | { readonly tokenizer: undefined; readonly reason: string };

type TemplateFiles = Pick<TemplateSources, 'file' | 'additional'>;

/**
 * Loads the tokenizer of a model: its `tokenizer.json`, and `tokenizer_config.json` where there is one.
 *
 * @param source The path of a folder, a model of a hub (of which nothing else is fetched), or the files of a model.
 * @returns The reason in place of a tokenizer if there is no `tokenizer.json`: a model can do without.
 * @throws FileFormatError `ERR_TOKENIZER` if a file cannot be understood; `ERR_FILE_NOT_FOUND`, `ERR_FILE_ACCESS`.
 */
export async function loadTokenizer(
  source: string | ModelFiles,
  options: { readonly hub?: HubOptions } = {},
): Promise<TokenizerResult> {
  checkArguments('loadTokenizer', 'object', { options });
  const files = await modelFiles('loadTokenizer', source, { purpose: 'tokenizer', hub: options.hub });
  const text = await readTextFile(files, 'tokenizer.json');
  if (text === undefined) return { tokenizer: undefined, reason: `${files.label} has no tokenizer.json` };
  const settings = await readTextFile(files, 'tokenizer_config.json');
  return {
    tokenizer: createTokenizer(
      parseJson(fileLabel(files, 'tokenizer.json'), text),
      settings === undefined ? {} : parseJson(fileLabel(files, 'tokenizer_config.json'), settings),
      fileLabel(files, 'tokenizer.json'),
      await readTemplates(files),
    ),
  };
}

/** Chat templates in files of their own: before those of `tokenizer_config.json`, as transformers has it. */
async function readTemplates(files: ModelFiles): Promise<TemplateFiles> {
  const additional: Record<string, string> = {};
  // a folder cannot be listed everywhere: the names that transformers chooses by itself
  for (const name of ['tool_use', 'rag']) {
    const text = await readTextFile(files, `additional_chat_templates/${name}.jinja`);
    if (text !== undefined) additional[name] = text;
  }
  const file = await readTextFile(files, 'chat_template.jinja');
  if (file !== undefined) return { file, additional };
  const json = await readTextFile(files, 'chat_template.json');
  if (json === undefined) return { additional };
  const { chat_template: text } = parseJson(fileLabel(files, 'chat_template.json'), json) as {
    chat_template?: unknown;
  };
  return typeof text === 'string' ? { file: text, additional } : { additional };
}

/**
 * A tokenizer from the contents of `tokenizer.json` and `tokenizer_config.json`, and of files of templates.
 *
 * @throws FileFormatError `ERR_TOKENIZER`.
 */
export function createTokenizer(
  definition: object,
  settings: object = {},
  label = 'tokenizer.json',
  templates: TemplateFiles = {},
): Tokenizer {
  let inner: HuggingFaceTokenizer;
  try {
    const read = correctFiles(definition, settings);
    inner = new HuggingFaceTokenizer(read, settings);
    correctTokenizer(inner, read);
  } catch (cause) {
    throw tokenizerError(label, cause);
  }
  let highest = -1;
  for (const id of inner.get_vocab().values()) highest = Math.max(highest, id);
  const special = new Set<number>();
  for (const [id, token] of inner.get_added_tokens_decoder()) if (token.special) special.add(id);

  // An id that is unknown, or known as the empty text, stands for nothing.
  const isText = (id: number, options: DecodeOptions) =>
    Boolean(inner.id_to_token(id)) && !(options.skipSpecialTokens && special.has(id));
  const decodeText = (ids: readonly number[]) =>
    ids.length === 0 ? '' : inner.decode([...ids], { clean_up_tokenization_spaces: false });

  const encoded = (text: string, addSpecialTokens: boolean) => {
    try {
      return inner.encode(text, { add_special_tokens: addSpecialTokens });
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new ArgumentError(
        `encode: a text of ${text.length} characters is too long for ${label} at once; divide it`,
        {
          cause,
        },
      );
    }
  };

  let bytes: readonly (Uint8Array | undefined)[] | undefined;
  const chat = chatTemplates({ label, settings, ...templates });
  return {
    chatTemplateNames: chat.names,
    chatTemplateText: (name = 'default') => chat.text(name),
    applyChatTemplate: (messages, options) => chat.render(messages, options),
    tokenBytes: () => (bytes ??= tokenBytes(definition, inner.get_vocab(), inner.get_added_tokens_decoder())),
    vocabularySize: highest + 1,
    bosTokenId: specialTokenId(inner, settings, 'bos_token'),
    eosTokenId: specialTokenId(inner, settings, 'eos_token'),
    encode(text, options = {}) {
      if (typeof text !== 'string') throw new ArgumentError(`encode: takes a string, got ${describe(text)}`);
      checkOptions('encode', options, ['addSpecialTokens']);
      const { addSpecialTokens = true } = options;
      const { ids, tokens } = encoded(text, addSpecialTokens);
      const missing = ids.findIndex((id: unknown) => id === undefined);
      if (missing < 0) return ids;
      throw new ArgumentError(`encode: ${label} has neither ${JSON.stringify(tokens[missing])} nor an unknown token`);
    },
    decode(ids, options = {}) {
      checkIds('decode', ids);
      checkOptions('decode', options, ['skipSpecialTokens']);
      return decodeText(ids.filter((id) => isText(id, options)));
    },
    stream(given = {}) {
      checkOptions('stream', given, ['after', 'skipSpecialTokens']);
      const { after = [], ...options } = given;
      checkIds('stream', after);
      const pieces = incrementalDecoder(
        decodeText,
        after.filter((id) => isText(id, options)),
      );
      return {
        push(id) {
          checkIds('push', [id]);
          return isText(id, options) ? pieces.push(id) : '';
        },
        finish: () => pieces.finish(),
      };
    },
  };
}

/** The id of a token that the settings name, as text or as an object with its content. */
function specialTokenId(inner: HuggingFaceTokenizer, settings: object, name: string): number | undefined {
  const token = (settings as Record<string, unknown>)[name];
  const content = typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? inner.token_to_id(content) : undefined;
}

function checkIds(operation: string, ids: readonly number[]): void {
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids))
    throw new ArgumentError(`${operation}: takes a list of token ids, got ${describe(ids)}`);
  for (const id of ids) {
    if (Number.isSafeInteger(id) && id >= 0) continue;
    throw new ArgumentError(`${operation}: token ids must be non-negative integers, got ${String(id)}`);
  }
}

function parseJson(label: string, text: string): object {
  let value: unknown;
  try {
    value = parsePythonJson(text);
  } catch (cause) {
    throw tokenizerError(label, cause);
  }
  if (typeof value === 'object' && value !== null) return value;
  throw tokenizerError(label, new Error('expected a JSON object'));
}

function tokenizerError(label: string, cause: unknown): FileFormatError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FileFormatError(`tokenizer: ${label}: ${reason}`, { code: 'ERR_TOKENIZER', cause });
}
