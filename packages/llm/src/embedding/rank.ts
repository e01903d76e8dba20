import { ArgumentError, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { RankingModel } from './ranking-model.ts';

/** What to rank. */
export interface RankOptions {
  readonly model: RankingModel;
  readonly query: string;
  readonly documents: readonly string[];
  /** What a good document does. Default that it answers a web search. */
  readonly instruction?: string;
  /** Ends it between batches: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A document, and how well it answers. */
export interface RankedDocument {
  /** Its place among the documents that were given. */
  readonly index: number;
  /** The probability that it answers the query, from 0 to 1. */
  readonly score: number;
}

/** The prompt that Qwen3-Reranker was trained with. Source: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B */
const before =
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n';
const after = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n';
const usualInstruction = 'Given a web search query, retrieve relevant passages that answer the query';

/**
 * Documents by how well they answer a query, the best first; equal ones in the order that they were given in.
 * @throws ArgumentError, also for a document that with its query has more tokens than the model takes; nothing is cut off
 * @example
 * for (const { index, score } of await rank({ model, query, documents })) console.log(score, documents[index]);
 */
export async function rank(options: RankOptions): Promise<RankedDocument[]> {
  checkOptions('rank', options, ['model', 'query', 'documents', 'instruction', 'signal']);
  const { model, query, documents, instruction = usualInstruction } = options;
  if (!(model instanceof RankingModel))
    throw new ArgumentError(`rank: needs a model, as openRankingModel() gives one, got ${describe(model)}`);
  if (typeof query !== 'string' || typeof instruction !== 'string')
    throw new ArgumentError(
      `rank: query and instruction must be strings, got ${describe(query)}, ${describe(instruction)}`,
    );
  if (!Array.isArray(documents) || !documents.every((document) => typeof document === 'string'))
    throw new ArgumentError(`rank: documents must be a list of strings, got ${describe(documents)}`);
  const tokenizer = model.model.requireTokenizer();
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const [head, tail] = [encode(before), encode(after)];
  const prompts = documents.map((document, i) => {
    const body = encode(`<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${document}`);
    const prompt = [...head, ...body, ...tail];
    if (prompt.length <= model.maxTokens) return prompt;
    throw new ArgumentError(
      `rank: document ${i} with its query must have at most ${model.maxTokens} tokens, got ${prompt.length}`,
    );
  });
  const scores = await model.probabilities(prompts, options.signal);
  return scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score || a.index - b.index);
}
