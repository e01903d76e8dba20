import { ArgumentError, calledAs, checkArguments, checkOptions } from '@heddle/tensor';
import type { GenerationDefaults } from '../config/generation.ts';
import { checkStopTokens, describe } from '../describe.ts';
import type { GenerationRequest } from '../engine/request.ts';
import type { OutputFormat } from '../grammar/output-format.ts';
import { type Sampler, sampler } from '../sampler.ts';
import { mostTopLogprobs } from '../sampling/logprobs.ts';
import { type SamplerOptions, samplerOptionNames } from '../sampling/options.ts';
import type { ChatMessage, ChatTemplateOptions } from '../tokenizer/chat-template.ts';
import { type AnswerRequest, answerRequest, withoutAnswer } from './answers/answer-request.ts';
import { conversationText } from './answers/conversation.ts';
import { type AnswerOptions, answerOptionNames, toolsOf } from './answers/tool-options.ts';
import { notTextModel, type TextModel } from './text-model.ts';

/** Tokens to generate where neither the caller nor the model's authors say how many. */
const usualMaxTokens = 512;

/** What bounds and shapes a generation, beside its prompt. What is absent is as the model's `generation_config.json` has it. */
export interface TextSettings extends SamplerOptions, AnswerOptions {
  /** Most tokens to generate. Default what the model's authors suggest, otherwise 512; never more than fit. */
  readonly maxTokens?: number;
  /** Strings that end the text, in which they do not stand. */
  readonly stop?: string | readonly string[];
  /** Tokens that end the text. Default the model's end tokens; none with `[]`. */
  readonly stopTokens?: readonly number[];
  /** Chooses tokens, in place of the options that say how to draw. */
  readonly sampler?: Sampler;
  /**
   * What the text must be: `jsonSchema`, `json`, `regex`, `ebnf`, `choices` or `structuralTags`. A text that ends by itself is of this
   * form; one that is cut off is the beginning of one. The generation fails with a GrammarError where the format cannot be kept.
   */
  readonly format?: OutputFormat;
  /** Give each token's log-probability by the model alone, with so many of the most likely tokens, from 0 to 20. */
  readonly logprobs?: number;
  /** False guesses no tokens of this text, `{ maxDrafts }` fewer at once than the engine's `speculation` does. */
  readonly speculation?: GenerationRequest['speculation'];
  /** Ends the generation: what waits for it throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Documents and variables that the chat template looks at. */
  readonly template?: Omit<ChatTemplateOptions, 'addGenerationPrompt' | 'tools'>;
  /** The name of an adapter that is added to the model, of the engine's `adapters`. */
  readonly adapter?: string;
  /** Higher goes first, where the engine's policy looks at it. */
  readonly priority?: number;
  /** Who shares with whom, where the policy is fair by tenant; tenants share no prompts in the cache. */
  readonly tenant?: string;
  /** Milliseconds from now after which the generation fails with `ERR_DEADLINE`. */
  readonly deadlineMs?: number;
}

/** What to generate from. */
export interface TextOptions extends TextSettings {
  readonly model: TextModel;
  /** A text to go on with, or its token ids. */
  readonly prompt?: string | readonly number[];
  /** A conversation to answer, by the model's chat template. */
  readonly messages?: readonly ChatMessage[];
  /** A first message that says how to answer; only with `messages`. */
  readonly system?: string;
}

export const settingNames: readonly string[] = [
  'maxTokens',
  'stop',
  'stopTokens',
  'sampler',
  'format',
  'logprobs',
  'speculation',
  'signal',
  'template',
  'adapter',
  'priority',
  'tenant',
  'deadlineMs',
  ...answerOptionNames,
  ...samplerOptionNames,
];

/** What a generation takes to begin. */
export interface TextRequest {
  readonly request: GenerationRequest;
  readonly stops: readonly string[];
  readonly logprobs: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly format: OutputFormat | undefined;
  /** Of a conversation: how its answer is read. */
  readonly answer: AnswerRequest | undefined;
}

/** Checks options, and makes of them what an engine takes. @throws ArgumentError, or what the tokenizer throws */
export function textRequest(operation: string, options: TextOptions, more: readonly string[] = []): TextRequest {
  checkOptions(operation, options, ['model', 'prompt', 'messages', 'system', ...settingNames, ...more]);
  const wrong = notTextModel(options.model);
  if (wrong) throw new ArgumentError(`${operation}: needs a model, as openTextModel() gives one, got ${wrong}`);
  checkArguments(operation, 'text?', { system: options.system });
  if (options.signal !== undefined) {
    checkArguments(operation, 'object', { signal: options.signal });
    checkArguments(operation, 'function', { 'signal.throwIfAborted': options.signal.throwIfAborted });
  }
  const text = conversationOf(operation, options);
  if (text !== undefined) return conversationRequest(operation, options.model, text, options);
  withoutAnswer(operation, options);
  return requestOf(operation, options.model, promptTokens(operation, options), options);
}

/** The request of a conversation whose text is known, with its tokens where they are, too. @throws ArgumentError */
export function conversationRequest(
  operation: string,
  model: TextModel,
  text: string,
  settings: TextSettings,
  tokens: readonly number[] = model.requireTokenizer().encode(text, { addSpecialTokens: false }),
): TextRequest {
  const answer = answerRequest(operation, model, text, settings);
  return requestOf(operation, model, tokens, settings, answer);
}

/** The request of a prompt whose tokens are known. @throws ArgumentError */
function requestOf(
  operation: string,
  model: TextModel,
  tokens: readonly number[],
  settings: TextSettings,
  answer?: AnswerRequest,
): TextRequest {
  const { adapter, priority, tenant, deadlineMs, signal, speculation } = settings;
  const format = answer ? answer.format.grammar(answer.plan) : settings.format;
  const { stopTokens = model.config.eosTokenIds } = settings;
  checkStopTokens(operation, stopTokens);
  if (format !== undefined && stopTokens.length === 0)
    throw new ArgumentError(`${operation}: a format needs tokens that end the text (stopTokens), got none`);
  const request = {
    tokens,
    maxTokens: maxTokensOf(operation, model, tokens.length, settings.maxTokens),
    stopTokens,
    sampler: samplerOf(operation, settings, model.config, format !== undefined || answer?.budget !== undefined),
    ...(adapter !== undefined && { adapter }),
    ...(priority !== undefined && { priority }),
    ...(tenant !== undefined && { tenant }),
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(speculation !== undefined && { speculation }),
  };
  const { logprobs } = settings;
  if (logprobs !== undefined && !(Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= mostTopLogprobs))
    throw new ArgumentError(`${operation}: logprobs must be from 0 to ${mostTopLogprobs}, got ${String(logprobs)}`);
  return { request, stops: stopsOf(operation, settings.stop), logprobs, signal, format, answer };
}

/** The text of a conversation; undefined where there is a prompt. */
function conversationOf(operation: string, options: TextOptions): string | undefined {
  const { model, prompt, messages, system, template } = options;
  if ((prompt === undefined) === (messages === undefined))
    throw new ArgumentError(
      `${operation}: takes either a prompt or messages, got ${prompt === undefined ? 'neither' : 'both'}`,
    );
  if (system !== undefined && messages === undefined)
    throw new ArgumentError(`${operation}: system stands before messages, got it with a prompt`);
  if (messages !== undefined) {
    if (!Array.isArray(messages))
      throw new ArgumentError(`${operation}: messages must be a list, got ${describe(messages)}`);
    for (const [i, message] of messages.entries()) checkMessage(`${operation}: messages[${i}]`, message);
    toolsOf(operation, options);
    const all = system === undefined ? messages : [{ role: 'system', content: system }, ...messages];
    if (all.length === 0) throw new ArgumentError(`${operation}: messages must have at least one, got none`);
    return conversationText(model.requireTokenizer(), model.answers, all, template, options);
  }
  return undefined;
}

/** @throws ArgumentError for what is no message: a content that is neither a text, nor parts, nor left out (calls of tools) */
export function checkMessage(where: string, message: unknown): void {
  const { role, content } = (message ?? {}) as { readonly role?: unknown; readonly content?: unknown };
  if (typeof role !== 'string') throw new ArgumentError(`${where} must be { role, content }, got ${describe(message)}`);
  const isContent = content === undefined || content === null || typeof content === 'string' || Array.isArray(content);
  if (!isContent)
    throw new ArgumentError(`${where}: content must be a text or a list of parts, got ${describe(content)}`);
}

function promptTokens(operation: string, { model, prompt }: TextOptions): readonly number[] {
  if (typeof prompt === 'string') {
    const { bosTokenId } = model.config;
    if (prompt === '' && bosTokenId !== undefined) return [bosTokenId];
    const tokens = model.requireTokenizer().encode(prompt);
    if (tokens.length === 0)
      throw new ArgumentError(`${operation}: the prompt is empty, and the model has no first token`);
    return tokens;
  }
  if (!Array.isArray(prompt))
    throw new ArgumentError(`${operation}: the prompt must be a string or token ids, got ${describe(prompt)}`);
  return prompt;
}

function maxTokensOf(
  operation: string,
  { engine, config }: TextModel,
  prompt: number,
  asked: number | undefined,
): number {
  if (asked !== undefined && !(Number.isSafeInteger(asked) && asked > 0))
    throw new ArgumentError(`${operation}: maxTokens must be a positive integer, got ${String(asked)}`);
  const { maxSequenceTokens } = engine.size;
  const room = maxSequenceTokens - prompt;
  if (room < 1)
    throw new ArgumentError(
      `${operation}: the prompt has ${prompt} tokens, and with the next one it must fit into ${maxSequenceTokens}`,
    );
  const { maxNewTokens, maxLength } = config.generation;
  const suggested = maxNewTokens ?? (maxLength === undefined ? usualMaxTokens : Math.max(1, maxLength - prompt));
  return Math.min(asked ?? suggested, room);
}

function stopsOf(operation: string, stop: TextSettings['stop']): readonly string[] {
  const stops = stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop;
  if (Array.isArray(stops) && stops.every((each) => typeof each === 'string' && each !== '')) return stops;
  throw new ArgumentError(
    `${operation}: stop takes strings that are not empty, got ${Array.isArray(stop) || stop === '' ? JSON.stringify(stop) : describe(stop)}`,
  );
}

function checkBias(operation: string, bias: TextSettings['logitBias'] = {}, vocabularySize: number): void {
  for (const id of bias instanceof Map ? bias.keys() : Object.keys(bias))
    if (!(Number(id) < vocabularySize))
      throw new ArgumentError(`${operation}: logitBias takes token ids below ${vocabularySize}, got ${String(id)}`);
}

/** Options that ask for a draw, whatever the model's authors suggest. */
const drawing = ['temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'] as const;

function samplerOf(operation: string, settings: TextSettings, config: TextModel['config'], isBound: boolean): Sampler {
  const { generation: defaults, vocabularySize } = config;
  checkBias(operation, settings.logitBias, vocabularySize);
  // what may come is said before each token
  const any = isBound && {
    allowedTokens: settings.allowedTokens ?? new Uint32Array(Math.ceil(vocabularySize / 32)).fill(2 ** 32 - 1),
  };
  if (isBound && settings.sampler)
    throw new ArgumentError(
      `${operation}: a format, tools and a budget of reasoning need a sampler of options, got one of the caller's: '${settings.sampler.name}'`,
    );
  const named = samplerOptionNames.find((name) => settings[name] !== undefined);
  if (settings.sampler === undefined)
    return calledAs(operation, () => sampler(samplerOptions({ ...settings, ...any }, defaults)));
  if (named === undefined) return settings.sampler;
  throw new ArgumentError(`${operation}: a sampler takes the place of ${named}; give one of them`);
}

/**
 * How to draw: what is asked for, then what the model's authors suggest. Where neither asks for a draw the most likely token is
 * taken; a seed alone does not ask for one.
 */
export function samplerOptions(asked: SamplerOptions, defaults: GenerationDefaults): SamplerOptions {
  const draws = defaults.sample || drawing.some((name) => asked[name] !== undefined);
  const { temperature, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff } = defaults;
  const { repetitionPenalty, noRepeatNgramSize } = defaults;
  const always = { repetitionPenalty, noRepeatNgramSize };
  const suggested = draws
    ? { temperature, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff, ...always }
    : { temperature: 0, ...always };
  const given = samplerOptionNames.map((name) => [name, asked[name]] as const);
  return Object.fromEntries([...Object.entries(suggested), ...given].filter(([, value]) => value !== undefined));
}
