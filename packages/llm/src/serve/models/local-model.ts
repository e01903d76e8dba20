import { checkArguments } from '@heddle/tensor';
import type { Engine } from '../../engine/engine.ts';
import type { TokenLogprobs } from '../../sampling/logprobs.ts';
import { conversationText } from '../../text/answers/conversation.ts';
import { toolsOf } from '../../text/answers/tool-options.ts';
import { KeptTurns, type WriteConversation } from '../../text/kept-turns.ts';
import type { OpenedTextModel, TextModel } from '../../text/text-model.ts';
import { conversationRequest, type TextRequest, textRequest } from '../../text/text-options.ts';
import type { TextResult } from '../../text/text-result.ts';
import { startText } from '../../text/text-stream.ts';
import type { Tokenizer } from '../../tokenizer.ts';
import { refuse } from '../fault.ts';
import type { ServedModel, ServedPart, ServedRequest, ServedStats, ServedText, SpelledToken } from './served-model.ts';

/** A model of this thread under a name; it stays the caller's. */
export function localModel(id: string, model: TextModel): ServedModel {
  checkArguments('localModel', 'text', { id });
  checkArguments('localModel', 'object', { model });
  checkArguments('localModel', 'object', { 'model.engine': model.engine });
  const { engine } = model;
  const turns = model.tokenizer && new KeptTurns(model.tokenizer);
  return {
    id,
    ready: true,
    maxSequenceTokens: engine.size.maxSequenceTokens,
    generate: (request, signal) => generate(model, turns, request, signal),
    tokens: async (of) => tokensOf(model, of),
    text: async (tokens) => textOf(model, tokens),
    stats: async () => statsOf(model),
  };
}

async function* generate(
  model: TextModel,
  turns: KeptTurns | undefined,
  { sequence, ...asked }: ServedRequest,
  signal: AbortSignal,
): AsyncGenerator<ServedPart, undefined> {
  const { started, ended } = conversation(model, turns, { ...asked, signal });
  const numbered = sequence === undefined ? started.request : { ...started.request, sequence };
  const stream = startText(model, { ...started, request: numbered }, ended);
  stream.result.catch(() => {}); // the loop tells
  const { tokenizer } = model;
  for await (const part of stream.fullStream)
    yield part.logprobs && tokenizer ? { ...part, spelled: spell(tokenizer, part.logprobs) } : part;
  return undefined;
}

interface Started {
  readonly started: TextRequest;
  readonly ended?: (result: TextResult | undefined) => void;
}

/** A turn of a conversation begins with the tokens that were generated in the ones before. */
function conversation(
  model: TextModel,
  turns: KeptTurns | undefined,
  asked: Omit<ServedRequest, 'sequence'> & { readonly signal: AbortSignal },
): Started {
  const { messages, template, tenant = '' } = asked;
  if (!messages || !turns) return { started: textRequest('generateText', { ...asked, model }) };
  toolsOf('generateText', asked);
  const tokenizer = model.requireTokenizer();
  const write: WriteConversation = (some, generation) =>
    conversationText(tokenizer, model.answers, some, template, asked, generation);
  const text = write(messages, true);
  const tokens = turns.tokens(tenant, messages, text, write);
  return {
    started: conversationRequest('generateText', model, text, asked, tokens),
    ended: (result) => {
      if (result && result.finishReason !== 'aborted') turns.keep(tenant, messages, text, tokens, result);
    },
  };
}

function spell(tokenizer: Tokenizer, { token, logprob, top }: TokenLogprobs): NonNullable<ServedPart['spelled']> {
  const one = (id: number, of: number): SpelledToken => ({ token: id, text: tokenizer.decode([id]), logprob: of });
  return { ...one(token, logprob), top: top.map((each) => one(each.token, each.logprob)) };
}

function tokensOf(model: TextModel, of: ServedText): readonly number[] {
  const tokenizer = model.requireTokenizer();
  if ('text' in of) return tokenizer.encode(of.text, { addSpecialTokens: of.addSpecialTokens ?? true });
  const text = conversationText(tokenizer, model.answers, of.messages ?? [], of.template, of);
  return tokenizer.encode(text, { addSpecialTokens: false });
}

function textOf(model: TextModel, tokens: readonly number[]): string {
  const { vocabularySize } = model.config;
  const wrong = tokens.findIndex((id) => id >= vocabularySize);
  if (wrong >= 0) {
    const param = `tokens.${wrong}`;
    refuse(400, `${param}: takes ids below ${vocabularySize}, got ${tokens[wrong]}.`, { param, code: 'invalid_value' });
  }
  return model.requireTokenizer().decode(tokens);
}

function statsOf(model: TextModel): ServedStats {
  const { stats } = model.engine as Partial<Engine>;
  if (!stats) return { running: 0, waiting: 0, cacheUsage: 0 };
  const { running, waiting, cache } = stats.call(model.engine);
  // a model of one's own parts may not say where it is
  const { device } = (model as Partial<OpenedTextModel>).model ?? {};
  return {
    running,
    waiting,
    cacheUsage: cache.blocks > 0 ? cache.blocksUsed / cache.blocks : 0,
    ...(device && { memoryBytes: device.memory().live }),
    tiers: cache.tiers.map(({ name, length, bytes }) => ({ name, tokens: length, bytes })),
  };
}
