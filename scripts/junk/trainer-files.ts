import { mkdirSync, writeFileSync } from 'node:fs';
import type { Device, Tensor } from '@heddle/tensor';
import { createLinear } from '@heddle/tensor/nn';
import { createTrainStep, sgd } from '@heddle/trainer';
import { openCheckpoints } from '@heddle/trainer/checkpoint';
import { tokenArray } from '@heddle/trainer/data';
import { adapterFiles, createLora } from '@heddle/trainer/lora';
import { openLog } from '@heddle/trainer/report';
import { type CallsOf, part } from './valid-call.ts';

/** What is called of `@heddle/trainer/data`. */
export function dataCalls(_: Device, folder: string): CallsOf {
  const own = `${folder}/texts`;
  mkdirSync(own, { recursive: true });
  writeFileSync(`${own}/a.txt`, 'some text');
  writeFileSync(`${own}/a.jsonl`, '{"text":"a"}\n');
  writeFileSync(`${own}/a.bin`, Uint8Array.of(1, 0, 2, 0, 3, 0, 4, 0));
  const encode = () => [1, 2];
  const example = { tokens: Int32Array.of(1, 2, 3), learned: Uint8Array.of(1, 1, 1) };
  const order = { seed: 1, shuffle: true, epochs: 1, cursor: { seed: 1, epoch: 0, place: 0 } };
  return {
    specifier: '@heddle/trainer/data',
    functions: {
      encodeExample: [{ text: 'a' }, { encode, endToken: 0, startToken: 0, renderChat: () => 'a' }],
      exampleBatches: [
        [example],
        { rows: 1, length: 4, pack: true, padToken: 0, tooLong: 'skip', dropLast: false, ...order },
      ],
      jsonLines: [`${own}/a.jsonl`],
      readExamples: [`${own}/a.jsonl`],
      encodeDocuments: {
        args: [[part({ path: 'a', text: 'a' })], encode, { endToken: 0, vocabularySize: 10 }],
      },
      textFiles: [own, { extensions: ['.txt'] }],
      tokenBatches: [part(tokenArray([1, 2, 3, 4, 5])), { rows: 1, length: 2, dropLast: true, ...order }],
      openTokenFile: [`${own}/a.bin`, { dtype: 'uint16', byteOffset: 0, vocabularySize: 10 }],
      tokenArray: [[1, 2, 3], { vocabularySize: 10 }],
    },
    objects: [{ of: 'tokens', on: () => tokenArray([1, 2, 3]), methods: { read: [0, 2], close: [] } }],
  };
}

/** What is called of `@heddle/trainer/checkpoint`. */
export function checkpointCalls(device: Device, folder: string): CallsOf {
  const layer = createLinear(device, { inputs: 1, outputs: 1, seed: 1 });
  const step = part(
    createTrainStep({
      model: {
        parameters: layer.parameters,
        forward: ({ x }: { x: typeof layer.parameters.weight }) => layer.forward(x),
      },
      loss: (output: Tensor) => output.sum(),
      optimizer: sgd({ learningRate: 0.1 }),
    } as never),
  );
  let count = 0;
  return {
    specifier: '@heddle/trainer/checkpoint',
    functions: { openCheckpoints: [`${folder}/checkpoints`, { keepLast: 1, keepBest: 1 }] },
    objects: [
      {
        of: 'checkpoints',
        on: () => openCheckpoints(`${folder}/run-${count++}`),
        methods: {
          save: { args: [step, { metric: 1, data: part({ a: 1 }), extra: 1 }], taken: ['1.data:*', '1.extra:*'] },
          list: [],
          latest: [],
          best: [],
        },
        leftOut: { restore: 'takes what list gives' },
      },
    ],
  };
}

/** What is called of `@heddle/trainer/bpe`. */
export const bpeCalls = (): CallsOf => ({
  specifier: '@heddle/trainer/bpe',
  functions: {
    trainBytePair: {
      taken: ['1.specialTokens:undefined'],
      args: [['aaaa'], { vocabularySize: 260, specialTokens: ['<s>'], beginToken: '<s>' }],
    },
  },
});

/** What is called of `@heddle/trainer/lora`. */
export async function loraCalls(device: Device): Promise<CallsOf> {
  const weights = part([device.variable([[1, 2]], { name: 'a.weight' })]);
  const lora = part(await createLora(device, weights, { rank: 1, targets: ['a'] }));
  const files = await adapterFiles(lora, 'base');
  return {
    specifier: '@heddle/trainer/lora',
    functions: {
      createLora: {
        args: [device, weights, { rank: 1, alpha: 2, rankStabilized: true, dropout: 0.1, targets: ['a'], seed: 1 }],
        taken: ['2.targets:function'],
      },
      isTarget: { args: [['a'], 'a'], taken: ['0:function'] },
      adapterFiles: [lora, 'base'],
      readAdapter: {
        args: [device, { config: files['adapter_config.json'], weights: files['adapter_model.safetensors'] }],
        taken: ['1.weights:*'],
      },
    },
    objects: [],
  };
}

/** What is called of `@heddle/trainer/report`. */
export function reportCalls(_: Device, folder: string): CallsOf {
  const report = part({
    step: 1,
    loss: 1,
    gradientNorm: 1,
    learningRate: 0.1,
    applied: true,
    count: 1,
    lossScale: 1,
    tokens: 2,
    seconds: 1,
    tokensPerSecond: 2,
    utilization: 0.5,
    phases: { data: 0, submit: 0, device: 0, evaluation: 0, saving: 0, step: 1 },
    memory: { live: 1, peak: 1, owners: {} },
  });
  let count = 0;
  const path = () => `${folder}/log-${count++}.jsonl`;
  writeFileSync(`${folder}/read.jsonl`, '');
  return {
    specifier: '@heddle/trainer/report',
    functions: {
      memoryStatistics: [[report]],
      htmlReport: [[{ name: 'a', reports: [report] }], { title: 't' }],
      openLog: { args: () => [path()] },
      readLog: [`${folder}/read.jsonl`],
      formatBytes: [1],
      formatDuration: [1],
      progressLine: [report, { steps: 10, width: 80 }],
    },
    objects: [{ of: 'log', on: () => openLog(path()), methods: { write: [report], close: [] } }],
  };
}
