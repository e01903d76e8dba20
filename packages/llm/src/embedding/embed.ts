import { ArgumentError, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { checkEmbeddingModel, type EmbeddingModel } from './embedding-model.ts';
import { type EmbeddedText, EmbeddingStep } from './embedding-step.ts';

/** What to embed. */
export interface EmbedOptions {
  readonly model: EmbeddingModel;
  readonly texts: readonly string[];
  /** Which of the model's prompts stands before each text. By default the one that its authors suggest, mostly none. */
  readonly prompt?: string;
  /** A text that stands before each text, in place of one of the model's prompts. */
  readonly prefix?: string;
  /** Ends it between batches: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Vectors of texts, in their order, as sentence-transformers computes them: Float32Array of `model.dimensions` each, of length 1
 * where the model has it so. Long texts are computed in smaller batches.
 * @throws ArgumentError, also for a text of more tokens than the model takes; nothing is cut off
 * @example
 * const [a, b] = await embed({ model, texts: ['a cat', 'a kitten'] });
 * const likeness = a!.reduce((sum, value, i) => sum + value * b![i]!, 0);
 */
export async function embed(options: EmbedOptions): Promise<Float32Array[]> {
  checkOptions('embed', options, ['model', 'texts', 'prompt', 'prefix', 'signal']);
  const { model, texts } = options;
  checkEmbeddingModel('embed', model);
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string'))
    throw new ArgumentError(`embed: texts must be a list of strings, got ${describe(texts)}`);
  const prefix = prefixOf(options);
  const tokenizer = model.model.requireTokenizer();
  // sentence-transformers counts the prompt with its special tokens, but for one
  const skipped = model.modules.withPrompt || prefix === '' ? 0 : tokenizer.encode(prefix).length - 1;
  const all = texts.map((text, i): EmbeddedText & { readonly place: number } => {
    const tokens = tokenizer.encode(prefix + text);
    if (tokens.length > model.maxTokens || tokens.length <= skipped)
      throw new ArgumentError(
        `embed: text ${i} must be of ${skipped + 1} to ${model.maxTokens} tokens, its prompt included; got ${tokens.length}`,
      );
    return { tokens, skipped, place: i };
  });
  const vectors = new Array<Float32Array>(texts.length);
  const byLength = all.sort((a, b) => a.tokens.length - b.tokens.length);
  for (let start = 0; start < byLength.length; ) {
    let end = start + 1;
    while (end < byLength.length && end - start < EmbeddingStep.textsOf(byLength[end]!.tokens.length)) end++;
    const group = byLength.slice(start, end);
    options.signal?.throwIfAborted();
    const values = await model.step.run(group);
    for (const [row, { place }] of group.entries())
      vectors[place] = values.slice(row * model.dimensions, (row + 1) * model.dimensions);
    start = end;
  }
  return vectors;
}

/** What stands before each text. @throws ArgumentError for a prompt that the model has not */
export function prefixOf({ model, prompt, prefix }: Omit<EmbedOptions, 'texts' | 'signal'>): string {
  if (prompt !== undefined && prefix !== undefined)
    throw new ArgumentError('embed: takes either a prompt or a prefix, got both');
  if (prefix !== undefined) return prefix;
  const name = prompt ?? model.modules.usualPrompt;
  if (name === undefined) return '';
  const found = model.prompts.get(name);
  if (found !== undefined) return found;
  const known = [...model.prompts.keys()].join(', ') || 'none';
  throw new ArgumentError(`embed: the model has no prompt '${name}'; it has ${known}`);
}
