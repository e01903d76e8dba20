import type { Engine } from '../engine/engine.ts';
import type { TokenLogprobs } from '../sampling/logprobs.ts';
import { conversationText } from '../text/answers/conversation.ts';
import type { TextModel } from '../text/text-model.ts';
import { textRequest } from '../text/text-options.ts';
import { startText } from '../text/text-stream.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { ServedModel, ServedPart, ServedRequest, ServedStats, ServedText, SpelledToken } from './served-model.ts';

/** A model of this thread under a name; it stays the caller's. */
export function localModel(id: string, model: TextModel): ServedModel {
  const { engine } = model;
  return {
    id,
    ready: true,
    maxSequenceTokens: engine.size.maxSequenceTokens,
    generate: (request, signal) => generate(model, request, signal),
    tokens: async (of) => tokensOf(model, of),
    text: async (tokens) => model.requireTokenizer().decode(tokens),
    stats: async () => statsOf(engine),
  };
}

async function* generate(
  model: TextModel,
  { sequence, ...request }: ServedRequest,
  signal: AbortSignal,
): AsyncGenerator<ServedPart, undefined> {
  const started = textRequest('generateText', { ...request, model, signal });
  const numbered = sequence === undefined ? started.request : { ...started.request, sequence };
  const stream = startText(model, { ...started, request: numbered });
  stream.result.catch(() => {}); // the loop tells
  const { tokenizer } = model;
  for await (const part of stream.fullStream)
    yield part.logprobs && tokenizer ? { ...part, spelled: spell(tokenizer, part.logprobs) } : part;
  return undefined;
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

function statsOf(engine: TextModel['engine']): ServedStats {
  const { stats } = engine as Partial<Engine>;
  if (!stats) return { running: 0, waiting: 0, cacheUsage: 0 };
  const { running, waiting, cache } = stats.call(engine);
  return { running, waiting, cacheUsage: cache.blocks > 0 ? cache.blocksUsed / cache.blocks : 0 };
}
