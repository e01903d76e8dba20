import { createModel, greedy, openEngine, sampler, temperature, topK } from '@heddle/llm';
import type { Device } from '@heddle/tensor';
import { scriptedModel } from '../../test-support/scripted-model.ts';
import { type CallsOf, type Entries, part } from './valid-call.ts';

const because = (names: string, why: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, why]));

const config = {
  model_type: 'llama',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 32,
};

/** Filters and samplers. */
function sampling(): Entries {
  return {
    allowedTokens: [Uint32Array.of(1)],
    badWords: [[[1, 2]]],
    logitBias: [new Map([[1, 2]])],
    epsilonCutoff: [0.1],
    etaCutoff: [0.1],
    typical: [0.5],
    minP: [0.1],
    temperature: [0.5],
    topK: [2],
    topP: [0.5],
    noRepeatNgram: [2],
    occurrencePenalty: [0.5, 0.5],
    repetitionPenalty: [1.2],
    greedy: [],
    filteredSampler: [[part(topK(2)), part(temperature(0.5))], 1],
    drawToken: [Float32Array.of(1, 2), { seed: 1, sequence: 0, step: 0 }],
    sampler: [
      {
        temperature: 0.5,
        topK: 2,
        topP: 0.9,
        minP: 0.1,
        typicalP: 0.9,
        repetitionPenalty: 1.1,
        presencePenalty: 0.1,
        frequencyPenalty: 0.1,
        noRepeatNgramSize: 3,
        badWords: [[1, 2]],
        allowedTokens: Uint32Array.of(1),
        seed: 1,
      },
    ],
    promptLookup: [{ maxDrafts: 4, minMatch: 2, maxMatch: 8 }],
  };
}

/** What is called of `@heddle/llm`. */
export async function llmCalls(device: Device): Promise<CallsOf> {
  const model = part(await createModel(config, { device, seed: 1 }));
  const text = () => part(scriptedModel(['yes~']));
  const common = {
    maxTokens: 4,
    stop: ['no'],
    stopTokens: [1],
    temperature: 0.5,
    topK: 2,
    topP: 0.9,
    seed: 1,
    logprobs: 1,
    signal: new AbortController().signal,
  };
  // a text is a list of one; an empty prompt is one; what else a message has is its template's
  const texts = [
    '0.prompt:[]',
    '0.stop:text',
    '0.messages.0:misspelt',
    '0.messages.0.content:null',
    '0.messages.0.content:[]',
  ];
  const engine = () => openEngine(model, { maxSequences: 1, maxSequenceTokens: 16 });
  return {
    specifier: '@heddle/llm',
    functions: {
      ...sampling(),
      draftModel: [model, { maxDrafts: 4 }],
      transformerBlock: [
        {
          attention: 'mqa',
          norm: 'rms',
          normPosition: 'pre',
          activation: 'silu',
          positions: 'rotary',
          dropout: 0,
          bias: false,
          heads: 2,
          feedForwardWidth: 16,
          epsilon: 1e-5,
          rotaryBase: 10000,
        },
      ],
      openEngine: [
        model,
        {
          maxSequences: 1,
          maxSequenceTokens: 16,
          maxBatchTokens: 16,
          stepsInFlight: 1,
          deterministic: false,
          onStep: () => undefined,
          sampler: part(greedy()),
        },
      ],
      generateText: { taken: texts, args: () => [{ model: text(), prompt: 'a', system: undefined, n: 1, ...common }] },
      'generateText: messages': {
        taken: texts,
        args: () => [{ model: text(), messages: [{ role: 'user', content: 'Hi' }], system: 'Be brief.', ...common }],
      },
      streamText: { taken: texts, args: () => [{ model: text(), prompt: 'a', ...common }] },
      chat: {
        // settings are looked at when a turn begins
        taken: [...texts, ...Object.keys(common).flatMap((name) => [`0.${name}:*`, `0.${name}.0:*`])],
        args: () => [{ model: text(), system: 'Be brief.', messages: [{ role: 'user', content: 'Hi' }], ...common }],
      },
      chromeTrace: [[]],
    },
    leftOut: {
      ...because(
        'anyFormat choices ebnf formatSequence json jsonSchema regex repeatedFormat structuralTags textUntil',
        'is read when a request begins, by its worker',
      ),
      markerCharacter: 'is for who writes formats',
      createModel: 'takes descriptions of models, in tests of its own',
      ...because(
        'beamSearch cacheCapacity createEngine measureCacheFormat divergence textModel tracedEngine',
        'takes parts of an engine, which it is asked for in tests of its own',
      ),
      ...because(
        'embed openEmbeddingModel rank openRankingModel loadModel loadTokenizer modelFolder openTextModel',
        'takes files of a model',
      ),
      ...because('pullModel inspectModel quantizeModel createAdapterPool', 'takes files of a model'),
      ...because('prometheusText stepSpans stageSampling harmonyAnswers taggedAnswers', 'is for who writes parts'),
    },
    objects: [
      {
        of: 'engine',
        on: engine,
        methods: {
          generate: {
            taken: ['0.deadlineMs:-1'],
            args: [
              {
                tokens: [1, 2],
                maxTokens: 2,
                stopTokens: [3],
                sampler: part(sampler({ seed: 1, temperature: 1 })),
                priority: 1,
                tenant: 't',
                deadlineMs: 60_000,
              },
            ],
          },
          release: ['a'],
          stats: [],
          explain: [],
          dispose: [],
        },
        leftOut: { prepare: 'compiles for a while' },
      },
      { of: 'sampler', on: () => greedy(), methods: {}, leftOut: { sample: 'is called by engines, for each token' } },
      { of: 'filter', on: () => topK(2), methods: {}, leftOut: { apply: 'is called by samplers' } },
    ],
  };
}
