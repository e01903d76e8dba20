import { flash } from '@heddle/attention';
import { contiguousCache } from '@heddle/kvcache';
import { createModel } from '@heddle/llm';
import type { Device } from '@heddle/tensor';
import { scriptedModel } from '../../test-support/scripted-model.ts';
import { type CallsOf, part } from './valid-call.ts';

const because = (names: string, why: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, why]));
const files = 'takes a folder or files of a model';

/** What is called of `@heddle/llm/training`. */
export async function trainingCalls(device: Device): Promise<CallsOf> {
  const sizes = {
    vocab_size: 32,
    hidden_size: 16,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  };
  const config = { model_type: 'llama', ...sizes, max_position_embeddings: 32 };
  const model = part(await createModel(config, { device, seed: 1 }));
  return {
    specifier: '@heddle/llm/training',
    functions: {
      trainableLm: [model, {}],
      withDropoutKeys: { args: [[part({ a: 1 })], { seed: 1, from: 0 }], taken: ['0:text', '0.0:*'] },
    },
    leftOut: {
      ...because('createModelFolder openAdapter saveAdapter saveModel', files),
      ...because(
        'adaptedModel adaptersOf nextTokenLoss',
        'is called with what a model and an adapter give, in tests of its own',
      ),
    },
  };
}

/** What is called of `@heddle/llm/serve`. */
export const serveCalls = (): CallsOf => ({
  specifier: '@heddle/llm/serve',
  functions: {
    localModel: ['m', part(scriptedModel(['yes~']))],
    withoutLines: ['dates', part(/^x/)],
    readPage: [],
  },
  leftOut: {
    ...because('localEmbeddingModel localRankingModel workerModel', files),
    ...because('adapterModel onDemand createServer', 'takes models that are served, in tests of its own'),
  },
});

/** What is called of `@heddle/llm/ai-sdk`. */
export const aiSdkCalls = (): CallsOf => ({
  specifier: '@heddle/llm/ai-sdk',
  functions: { createHeddle: { args: [{ m: part(scriptedModel(['yes~'])) }], taken: ['0:misspelt'] } },
});

/** What is called of `@heddle/attention/testing`. */
export const kernelContractCalls = (device: Device): CallsOf => ({
  specifier: '@heddle/attention/testing',
  functions: { kernelContract: [part(flash()), () => device, { tolerance: 1e-3 }] },
});

/** What is called of `@heddle/kvcache/testing`. */
export const cacheContractCalls = (device: Device): CallsOf => ({
  specifier: '@heddle/kvcache/testing',
  functions: { kvCacheContract: [contiguousCache, () => device, { seeds: [1] }] },
});
