import { type EmbeddingModelV3, type LanguageModelV3, NoSuchModelError, type ProviderV3 } from '@ai-sdk/provider';
import { ArgumentError, checkArguments } from '@heddle/tensor';
import { embed, prefixOf } from '../embedding/embed.ts';
import { type EmbeddingModel, isEmbeddingModel } from '../embedding/embedding-model.ts';
import { notTextModel, type TextModel } from '../text/text-model.ts';
import { languageModel } from './language-model.ts';

/** Models for the AI SDK, by name. */
export interface HeddleProvider extends ProviderV3 {
  /** The model of a name, as `languageModel`. */
  (id: string): LanguageModelV3;
}

/**
 * Models of this process for the `ai` package (its version 6), without a server between. They stay the caller's.
 * @throws ArgumentError for what is no model; asking for a name that is not there throws NoSuchModelError
 * @example
 * const heddle = createHeddle({ prose: await openTextModel('node_modules/@heddle/prose4m') });
 * const { text } = await generateText({ model: heddle('prose'), prompt: 'Once upon a time' });
 */
export function createHeddle(models: Readonly<Record<string, TextModel | EmbeddingModel>>): HeddleProvider {
  checkArguments('createHeddle', 'object', { models });
  for (const [id, model] of Object.entries(models)) {
    if (isEmbeddingModel(model)) continue;
    const wrong = notTextModel(model);
    if (wrong)
      throw new ArgumentError(`createHeddle: '${id}' must be a model, as openTextModel() gives one, got ${wrong}`);
  }
  const languageModelOf = (id: string) => {
    const model = Object.hasOwn(models, id) ? models[id] : undefined;
    if (!model || isEmbeddingModel(model)) throw new NoSuchModelError({ modelId: id, modelType: 'languageModel' });
    return languageModel(id, model);
  };
  const embeddingModelOf = (id: string) => {
    const model = Object.hasOwn(models, id) ? models[id] : undefined;
    if (!isEmbeddingModel(model)) throw new NoSuchModelError({ modelId: id, modelType: 'embeddingModel' });
    return embeddingModel(id, model);
  };
  return Object.assign(languageModelOf, {
    specificationVersion: 'v3' as const,
    languageModel: languageModelOf,
    embeddingModel: embeddingModelOf,
    imageModel: (modelId: string) => {
      throw new NoSuchModelError({ modelId, modelType: 'imageModel' });
    },
  });
}

/** An embedding model as the AI SDK calls one; `providerOptions.heddle.prompt` names one of the model's prompts. */
function embeddingModel(modelId: string, model: EmbeddingModel): EmbeddingModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'heddle',
    modelId,
    maxEmbeddingsPerCall: 2048,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal, providerOptions }) {
      abortSignal?.throwIfAborted();
      const own = (providerOptions?.['heddle'] ?? {}) as { readonly prompt?: string };
      const vectors = await embed({ model, texts: values, ...own, ...(abortSignal && { signal: abortSignal }) });
      const tokenizer = model.model.requireTokenizer();
      const prefix = prefixOf({ model, ...own });
      const tokens = values.reduce((total, text) => total + tokenizer.encode(prefix + text).length, 0);
      return { embeddings: vectors.map((vector) => [...vector]), usage: { tokens }, warnings: [] };
    },
  };
}
