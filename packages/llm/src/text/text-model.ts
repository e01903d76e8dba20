import { checkArguments, checkOptions, type Device, type DeviceName, openDevice } from '@heddle/tensor';
import type { ModelConfig } from '../config.ts';
import { describe } from '../describe.ts';
import { type EngineOptions, engineOptionNames, openEngine } from '../engine/default-engine.ts';
import type { Engine } from '../engine/engine.ts';
import type { RequestAdapters } from '../engine/request-adapters.ts';
import { GrammarPool, type GrammarPoolOptions } from '../grammar/grammar-pool.ts';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../load-model.ts';
import type { ModelFiles } from '../model-files.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { AnswerFormat } from './answers/answer-format.ts';
import { answerVocabulary } from './answers/answer-tokens.ts';
import { answerFormatOf } from './answers/standard-formats.ts';

/** What text is generated with: an engine, and what turns text into tokens and back. */
export interface TextModel extends AsyncDisposable {
  /** Searches with beams need its `release`, too. */
  readonly engine: Pick<Engine, 'generate' | 'size'> & Partial<Pick<Engine, 'release'>>;
  /** Undefined where the model came without one: then prompts are token ids, and text is empty. */
  readonly tokenizer: Tokenizer | undefined;
  /** How it writes reasoning and calls of tools; undefined where it has no tokenizer. */
  readonly answers?: AnswerFormat | undefined;
  readonly config: Pick<ModelConfig, 'bosTokenId' | 'eosTokenIds' | 'generation' | 'vocabularySize'>;
  /** Workers that follow formats; started when the first request has one. @throws as `requireTokenizer` */
  grammars(): GrammarPool;
  /** The tokenizer. @throws FileFormatError `ERR_TOKENIZER` saying why there is none */
  requireTokenizer(): Tokenizer;
  /** Frees what was opened for it. Idempotent. */
  dispose(): Promise<void>;
}

/** How to open a model for text: on which device, how its weights are stored, and the parts and bounds of its engine. */
export interface OpenTextModelOptions extends Omit<EngineOptions, 'adapters'> {
  /** A device of one's own, which stays the caller's, or the name of one to open. Default 'auto'. */
  readonly device?: DeviceName | Device;
  readonly dtype?: LoadModelOptions['dtype'];
  readonly activations?: LoadModelOptions['activations'];
  readonly onProgress?: LoadModelOptions['onProgress'];
  readonly answers?: TextModelOptions['answers'];
  /**
   * Adapters that requests may name: folders in PEFT's format (or their files) by name, opened with the model, or a
   * `createAdapterPool` for it, which stays the caller's.
   */
  readonly adapters?: RequestAdapters | Readonly<Record<string, string | ModelFiles>>;
}

/** How a model for text answers, where that is not as its files say. */
export interface TextModelOptions {
  /** How it writes reasoning and calls of tools: default the one of `answerFormats` that its template and vocabulary speak. */
  readonly answers?: AnswerFormat;
  /** Workers that follow formats. */
  readonly grammars?: Omit<GrammarPoolOptions, 'vocabulary'>;
}

/** A model that was opened for text, with its parts. */
export interface OpenedTextModel extends TextModel {
  readonly model: LoadedModel;
  readonly engine: Engine;
}

/**
 * Opens a model for `generateText`, `streamText` and `chat`: a device, the weights, and an engine over them.
 *
 * Owned by the caller; `dispose` frees all that was opened here.
 * @param source a Hugging Face folder, a GGUF file, or the files of a model
 * @throws what `openDevice`, `loadModel` and `openEngine` throw; then nothing is left open
 * @example
 * const model = await openTextModel('node_modules/@heddle/prose4m');
 * const { text } = await generateText({ model, prompt: 'It was a cold evening, and' });
 * await model.dispose();
 */
export async function openTextModel(
  source: string | ModelFiles,
  options: OpenTextModelOptions = {},
): Promise<OpenedTextModel> {
  checkArguments('openTextModel', 'object', { options });
  checkOptions('openTextModel', options, [
    ...['device', 'dtype', 'activations', 'onProgress', 'answers'],
    ...engineOptionNames,
  ]);
  const { device: where = 'auto', dtype, activations, onProgress, answers, adapters, ...engineOptions } = options;
  const device = typeof where === 'string' ? await openDevice(where) : where;
  const own = typeof where === 'string';
  let model: LoadedModel | undefined;
  let pool: (RequestAdapters & Disposable & { dispose(): void }) | undefined;
  try {
    model = await loadModel(source, {
      device,
      ...(dtype && { dtype }),
      ...(activations && { activations }),
      ...(onProgress && { onProgress }),
    });
    const loaded = model;
    const named = isPool(adapters) ? undefined : adapters;
    if (named && Object.keys(named).length > 0) {
      const { openAdapterPool } = await import('../adapters/open-adapter-pool.ts');
      pool = await openAdapterPool(loaded, named);
    }
    const given = isPool(adapters) ? adapters : pool;
    const engine = openEngine(loaded, { ...engineOptions, ...(given && { adapters: given }) });
    const text = textModel(loaded, engine, { ...(answers && { answers }) });
    let disposal: Promise<void> | undefined;
    const dispose = () => {
      disposal ??= (async () => {
        await engine.dispose();
        pool?.dispose();
        text.dispose();
        await loaded.dispose();
        if (own) await device.dispose();
      })();
      return disposal;
    };
    return { ...text, engine, model: loaded, dispose, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    pool?.dispose();
    await model?.dispose();
    if (own) await device.dispose();
    throw error;
  }
}

function isPool(adapters: OpenTextModelOptions['adapters']): adapters is RequestAdapters {
  return typeof (adapters as Partial<RequestAdapters> | undefined)?.hold === 'function';
}

/**
 * A model for `generateText`, `streamText` and `chat` of a model and an engine of one's own, of any parts; both stay the caller's.
 * `dispose` ends the workers that follow formats.
 * @example textModel(model, openEngine(model, { scheduler: mine }))
 */
export function textModel(
  model: Pick<LoadedModel, 'tokenizer' | 'config' | 'requireTokenizer'>,
  engine: TextModel['engine'],
  options: TextModelOptions = {},
): TextModel {
  checkArguments('textModel', 'object', { model, engine, options });
  const { tokenizer, config } = model;
  const answers = options.answers ?? (tokenizer && answerFormatOf(tokenizer));
  let pool: GrammarPool | undefined;
  const dispose = async () => pool?.dispose();
  const requireTokenizer = () => model.requireTokenizer();
  const grammars = () => {
    if (pool) return pool;
    const own = requireTokenizer();
    const vocabulary = answers ? answerVocabulary(own, answers) : own.tokenBytes();
    pool = new GrammarPool({ ...options.grammars, vocabulary });
    return pool;
  };
  return { engine, tokenizer, answers, config, requireTokenizer, grammars, dispose, [Symbol.asyncDispose]: dispose };
}

/** Whether a value has what text is generated with; otherwise what it is, for messages. */
export function notTextModel(value: unknown): string | undefined {
  const { engine, config } = (value ?? {}) as Partial<TextModel>;
  return typeof engine?.generate === 'function' && config ? undefined : describe(value);
}
