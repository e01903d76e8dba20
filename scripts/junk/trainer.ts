import type { Device, Tensor } from '@heddle/tensor';
import { createLinear } from '@heddle/tensor/nn';
import { adamw, clipByGlobalNorm, constantSchedule, createTrainStep, sgd } from '@heddle/trainer';
import { type CallsOf, type Entries, ofFunctions, part } from './valid-call.ts';

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));

type Batch = { readonly x: Tensor; readonly y: Tensor };
const host = (...values: number[]) => ({ data: Float32Array.from(values), shape: [values.length, 1] as const });
const batch = { x: host(1, 2), y: host(2, 4) };

/** A model of one weight, with its loss. */
function linearModel(device: Device) {
  const layer = createLinear(device, { inputs: 1, outputs: 1, seed: 1 });
  return {
    model: part({ parameters: layer.parameters, forward: ({ x }: Batch) => layer.forward(x) }),
    loss: (output: Tensor, { y }: Batch) => output.sub(y).square().mean(),
  };
}

/** What is called of `@heddle/trainer`. */
export function trainerCalls(device: Device): CallsOf {
  const x = device.tensor([
    [1, 2],
    [3, 4],
  ]);
  const ids = device.tensor(Int32Array.of(0, 1));
  const decay = { learningRate: 0.1, weightDecay: 0.1, decays: () => true };
  const betas = [0.9, 0.99];
  const rates = ['0.learningRate:function'];
  const own = () => linearModel(device);
  const step = () => ({ ...own(), optimizer: part(sgd({ learningRate: 0.1 })) });
  const pair = device.tensor([-1, -2]);
  return {
    specifier: '@heddle/trainer',
    functions: {
      repeat: { args: [[part(batch)]], taken: ['0:text', '0.0:*'] }, // of anything
      train: {
        // what a model says of a batch that it cannot take is its own
        taken: ['0.data.0:{}', '0.evaluate.data:function'],
        args: () => [
          {
            ...step(),
            data: [part(batch)],
            accumulate: 1,
            steps: 1,
            signal: new AbortController().signal,
            nonFinite: 'skip',
            stepsAhead: 0,
            tokens: () => 2,
            evaluate: { every: 1, data: () => [batch] },
            earlyStopping: { patience: 1, minDelta: 0.1 },
            flops: { perToken: 1, perSecond: 1 },
            precision: 'f32',
            updateInBackward: false,
            average: { decay: 0.9 },
          },
        ],
      },
      createTrainStep: {
        args: () => [{ ...step(), precision: 'f32', updateInBackward: false, average: { decay: 0.9 } }],
      },
      createEvaluation: { args: () => [own()] },
      summedCrossEntropy: [x, ids, { ignoreIndex: 1, labelSmoothing: 0.1 }],
      summedLinearCrossEntropy: [x, x, ids, { ignoreIndex: 1, labelSmoothing: 0.1, chunkRows: 1 }],
      dpoLoss: [
        { policyChosen: pair, policyRejected: pair, referenceChosen: pair, referenceRejected: pair },
        { beta: 0.1, labelSmoothing: 0.1, kind: 'sigmoid' },
      ],
      sequenceLogProbabilities: [x.reshape([1, 2, 2]), ids.reshape([1, 2]), { ignoreIndex: 1 }],
      adafactor: { args: [{ ...decay, beta2Decay: -0.8, epsilons: [1e-30, 1e-3], clipThreshold: 1 }], taken: rates },
      ...each('adam adamw', { args: [{ ...decay, betas, epsilon: 1e-8, amsgrad: true }], taken: rates }),
      adamw8bit: { args: [{ ...decay, betas, epsilon: 1e-8, minimumSize: 64 }], taken: rates },
      lion: { args: [{ ...decay, betas }], taken: rates },
      muon: {
        args: [
          { ...decay, momentum: 0.9, nesterov: true, iterations: 5, epsilon: 1e-7, adjustLearningRate: 'original' },
        ],
        taken: rates,
      },
      sgd: { args: [{ ...decay, momentum: 0.9, dampening: 0, nesterov: true }], taken: rates },
      chain: [part(clipByGlobalNorm(1)), part(adamw({ learningRate: 0.1 }))],
      clipByGlobalNorm: [1],
      clipByValue: [1],
      globalNorm: [[x]],
      parameterGroups: [[{ includes: () => true, optimizer: part(sgd({ learningRate: 0.1 })) }]],
      dynamicLossScale: {
        args: [{ initial: 1024, growth: 2, backoff: 0.5, interval: 10, minimum: 1, maximum: 65536 }],
        taken: ['0.maximum:1.5'],
      },
      staticLossScale: [1024],
      ...each('cosineSchedule linearSchedule', [{ from: 0.1, to: 0.01, steps: 10 }]),
      warmupCosineSchedule: [{ peak: 0.1, warmupSteps: 2, totalSteps: 10, final: 0.01 }],
      oneCycleSchedule: [
        { peak: 0.1, totalSteps: 10, riseShare: 0.3, startDivisor: 25, finalDivisor: 1e4, anneal: 'cosine' },
      ],
      constantSchedule: [0.1],
      warmUp: [2, constantSchedule(0.1)],
      warmupStableDecaySchedule: [
        { peak: 0.1, warmupSteps: 1, stableSteps: 2, decaySteps: 3, final: 0, decay: 'sqrt' },
      ],
    },
    leftOut: {
      planMemory: 'takes what createTrainStep takes, and a device that plans',
      largestBatch: 'takes what planMemory takes',
    },
    objects: [
      {
        of: 'train step',
        on: () => createTrainStep(step()),
        methods: {
          submit: { args: [part(batch)], named: 'train', taken: ['0:{}'] },
          progress: [],
          resume: { args: [{ steps: 1, applied: 1 }], named: 'train step' },
          explain: [],
          plannedBytes: [],
          dispose: [],
        },
        leftOut: {
          ...ofFunctions,
          swapAverages: 'takes nothing',
          plan: 'takes what submit takes',
          profile: 'takes what submit takes',
        },
      },
    ],
  };
}
