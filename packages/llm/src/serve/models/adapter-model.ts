import type { ServedModel } from './served-model.ts';

/**
 * An adapter of a model's engine as a model of its own name: requests for it are computed together with those of the others.
 * @param adapter its name in the engine's `adapters`
 * @example createServer([base, adapterModel('capitals', base, 'capitals')])
 */
export function adapterModel(id: string, model: ServedModel, adapter: string): ServedModel {
  return {
    id,
    kind: 'text',
    get ready() {
      return model.ready;
    },
    get maxSequenceTokens() {
      return model.maxSequenceTokens;
    },
    generate: (request, signal) => model.generate({ ...request, adapter }, signal),
    tokens: (of) => model.tokens(of),
    text: (tokens) => model.text(tokens),
    // what runs and waits is counted for the model
    stats: async () => ({ running: 0, waiting: 0, cacheUsage: 0 }),
  };
}
