import { checkArguments } from '@heddle/tensor';
import { embed, prefixOf } from '../../embedding/embed.ts';
import type { EmbeddingModel } from '../../embedding/embedding-model.ts';
import { rank } from '../../embedding/rank.ts';
import type { RankingModel } from '../../embedding/ranking-model.ts';
import { refuse } from '../fault.ts';
import type { ServedModel } from './served-model.ts';

/** An embedding model of this thread under a name; it stays the caller's. */
export function localEmbeddingModel(id: string, model: EmbeddingModel): ServedModel {
  checkArguments('localEmbeddingModel', 'text', { id });
  checkArguments('localEmbeddingModel', 'object', { model, 'model.model': model?.model });
  const calls = { running: 0 };
  return {
    ...withoutText(id, model, calls),
    kind: 'embedding',
    embed: (request, signal) =>
      counted(calls, async () => {
        const vectors = await embed({ model, ...request, signal });
        const prefix = prefixOf({ model, ...request });
        return {
          vectors,
          tokens: tokensOf(
            model,
            request.texts.map((text) => prefix + text),
          ),
        };
      }),
  };
}

/** A ranking model of this thread under a name; it stays the caller's. */
export function localRankingModel(id: string, model: RankingModel): ServedModel {
  checkArguments('localRankingModel', 'text', { id });
  checkArguments('localRankingModel', 'object', { model, 'model.model': model?.model });
  const calls = { running: 0 };
  return {
    ...withoutText(id, model, calls),
    kind: 'ranking',
    rank: (request, signal) =>
      counted(calls, async () => {
        const documents = await rank({ model, ...request, signal });
        const read = request.documents.flatMap((document) => [request.query, document]);
        return { documents, tokens: tokensOf(model, read) };
      }),
  };
}

interface Calls {
  running: number;
}

async function counted<T>(calls: Calls, run: () => Promise<T>): Promise<T> {
  calls.running++;
  try {
    return await run();
  } finally {
    calls.running--;
  }
}

type Opened = Pick<EmbeddingModel | RankingModel, 'model' | 'maxTokens'>;

function tokensOf({ model }: Opened, texts: readonly string[]): number {
  const tokenizer = model.requireTokenizer();
  return texts.reduce((total, text) => total + tokenizer.encode(text).length, 0);
}

function withoutText(id: string, { model, maxTokens }: Opened, calls: Calls): ServedModel {
  const none = (): never => refuse(400, 'model: this one generates no text.', { param: 'model' });
  return {
    id,
    ready: true,
    maxSequenceTokens: maxTokens,
    generate: none,
    tokens: async (of) =>
      'text' in of
        ? model.requireTokenizer().encode(of.text, { addSpecialTokens: of.addSpecialTokens ?? true })
        : none(),
    text: async (tokens) => model.requireTokenizer().decode(tokens),
    stats: async () => ({
      running: calls.running,
      waiting: 0,
      cacheUsage: 0,
      memoryBytes: model.device.memory().live,
    }),
  };
}
