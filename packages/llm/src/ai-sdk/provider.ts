import { type LanguageModelV3, NoSuchModelError, type ProviderV3 } from '@ai-sdk/provider';
import { ArgumentError } from '@heddle/tensor';
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
export function createHeddle(models: Readonly<Record<string, TextModel>>): HeddleProvider {
  for (const [id, model] of Object.entries(models)) {
    const wrong = notTextModel(model);
    if (wrong)
      throw new ArgumentError(`createHeddle: '${id}' must be a model, as openTextModel() gives one, got ${wrong}`);
  }
  const languageModelOf = (id: string) => {
    const model = Object.hasOwn(models, id) ? models[id] : undefined;
    if (!model) throw new NoSuchModelError({ modelId: id, modelType: 'languageModel' });
    return languageModel(id, model);
  };
  const none = (modelType: 'embeddingModel' | 'imageModel') => (modelId: string) => {
    throw new NoSuchModelError({ modelId, modelType });
  };
  return Object.assign(languageModelOf, {
    specificationVersion: 'v3' as const,
    languageModel: languageModelOf,
    embeddingModel: none('embeddingModel'),
    imageModel: none('imageModel'),
  });
}
