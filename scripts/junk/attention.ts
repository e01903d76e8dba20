import {
  createAttentionModule,
  createAttentionParameters,
  createLearnedPositions,
  flash,
  naive,
  quantizeRows,
  rotaryTable,
} from '@heddle/attention';
import { type Device, randomKey, type Tensor } from '@heddle/tensor';
import { type CallsOf, type Entries, part } from './valid-call.ts';

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));

/** What is called of `@heddle/attention`. */
export async function attentionCalls(device: Device): Promise<CallsOf> {
  const ints = (...values: number[]) => device.tensor(Int32Array.from(values));
  const q = device.ones([1, 2, 1, 4]);
  const spec = {
    causal: true,
    window: 2,
    keepFirst: 1,
    sinks: device.zeros([1]),
    softcap: 30,
    alibi: true,
    scale: 0.5,
    bias: device.zeros([1, 1, 2, 2]),
    mask: device.tensor([true, true, true, true], { shape: [1, 1, 2, 2] }),
    keyLengths: ints(2),
    segments: device.tensor(Int32Array.of(0, 0), { shape: [1, 2] }),
    dropout: { p: 0.1, seed: randomKey(device, 1) },
    scoreMod: (scores: Tensor) => scores,
    maskMod: (place: { readonly q: Tensor; readonly k: Tensor }) => place.q.greaterEqual(place.k),
  };
  const rows = device.ones([2, 1, 4]);
  const call = { q: rows, k: rows, v: rows, kv: undefined, spec: { segments: ints(0, 0), positions: ints(0, 1) } };
  const table = rotaryTable(device, { theta: 10000, dim: 4, scaling: { kind: 'default' } }, 8);
  const config = {
    width: 4,
    heads: 2,
    attentionType: 'mqa',
    headDim: 2,
    bias: { input: true, output: false },
    qkNorm: { epsilon: 1e-6 },
    outputGate: true,
  };
  const plain = { width: 4, heads: 2 };
  const parameters = await createAttentionParameters(device, plain, { seed: 1 });
  const module = await createAttentionModule(device, { ...plain, seed: 1 });
  const quantized = quantizeRows(device.ones([2, 1, 8]), 8);
  const heads = device.ones([1, 2, 1, 4]);
  const gates = { logDecay: device.zeros([1, 2, 1]), beta: device.ones([1, 2, 1]), scale: 0.5, normalize: true };
  const packedGates = { logDecay: device.zeros([2, 1]), beta: device.ones([2, 1]), scale: 0.5, normalize: true };
  const learned = await createLearnedPositions(device, { maxPositions: 4, width: 4, seed: 1 });
  const x = device.ones([1, 2, 4]);
  return {
    specifier: '@heddle/attention',
    functions: {
      alibiScores: [2],
      ...each('attention attentionWithLse', [q, q, q, spec]),
      attentionWithMass: [q, q, q, { causal: true, scale: 0.5 }],
      mergeAttention: [[q], [device.ones([1, 1, 2])]],
      segmentIds: [ints(0, 2), 2],
      ...each('decode flash paged singleRows naive', []),
      firstSupported: [[part(flash()), part(naive())], { cost: () => 1, onChoice: () => undefined }],
      measuredCost: [[part(naive())], [call], { runs: 1 }],
      prefillDecode: [part(flash()), part(naive())],
      attentionModule: {
        args: [parameters, { ...plain, rotary: { table, interleaved: true }, spec: { causal: true } }],
        // where tensors are is seen in a call
        taken: ['*:foreign'],
      },
      createAttentionModule: {
        taken: ['*:foreign'],
        args: [
          device,
          {
            ...config,
            rotary: {
              table: rotaryTable(device, { theta: 10000, dim: 2, scaling: { kind: 'default' } }, 8),
              interleaved: true,
            },
            spec: { causal: false },
            seed: 1,
            dtype: 'f16',
            name: 'a',
          },
        ],
      },
      attentionParameterShapes: [config],
      createAttentionParameters: [device, config, { seed: 1, dtype: 'f16', name: 'a' }],
      keyValueHeads: ['gqa', 4],
      attentionMass: [{ q: rows, keys: rows, positions: ints(0, 1), keyPositions: ints(0, 1), scale: 0.5 }],
      quantizeRows: [device.ones([2, 1, 16]), 8, { groups: 2 }],
      dequantizeRows: [quantized, 8],
      rotateHeads: [rows],
      createLearnedPositions: [device, { maxPositions: 4, width: 4, seed: 1, deviation: 0.1, dtype: 'f16', name: 'p' }],
      createSinusoidalPositions: [device, { maxPositions: 4, width: 4, base: 1000, halves: true }],
      gatedDeltaRule: [heads, heads, heads, { ...gates, state: device.zeros([1, 1, 4, 4]), chunk: 2 }],
      packedGatedDeltaRule: [rows, rows, rows, { ...packedGates, segments: ints(0, 0) }],
      mamba2Scan: [
        heads,
        {
          dt: device.ones([1, 2, 1]),
          a: device.zeros([1]),
          b: heads,
          c: heads,
          d: device.ones([1]),
          state: device.zeros([1, 1, 4, 4]),
          chunk: 2,
        },
      ],
      packedMamba2Scan: [
        rows,
        { dt: device.ones([2, 1]), a: device.zeros([1]), b: rows, c: rows, d: device.ones([1]), segments: ints(0, 0) },
      ],
      shortConvolution: [
        device.ones([1, 2, 4]),
        device.ones([4, 3]),
        { bias: device.zeros([4]), history: device.zeros([1, 2, 4]) },
      ],
      packedShortConvolution: [
        device.ones([2, 4]),
        device.ones([4, 3]),
        { segments: ints(0, 0), positions: ints(0, 1), bias: device.zeros([4]) },
      ],
      rotary: [rows, ints(0, 1), table, { interleaved: true }],
      rotaryFrequencies: [{ theta: 10000, dim: 4, scaling: { kind: 'linear', factor: 2 } }, 8],
      rotaryTable: [
        device,
        { theta: 10000, dim: 4, scaling: { kind: 'linear', factor: 2 } },
        8,
        { dtype: 'f16', sequenceLength: 8 },
      ],
    },
    objects: [
      {
        of: 'kernel',
        on: () => naive(),
        methods: {
          attend: [rows, rows, rows, undefined, call.spec],
          attendWithLse: { args: [rows, rows, rows, undefined, call.spec], named: 'attend' },
        },
        leftOut: { supports: 'is asked of what attend takes' },
      },
      {
        of: 'module',
        on: () => module,
        methods: {
          // without a rotary embedding positions are not looked at
          forward: {
            taken: ['0.positions:foreign'],
            args: [
              { x, positions: device.tensor(Int32Array.of(0, 1), { shape: [1, 2] }) },
              { spec: { causal: true }, context: x },
            ],
          },
        },
        leftOut: { dispose: 'takes nothing' },
      },
      {
        of: 'positions',
        on: () => learned,
        methods: {
          forward: { args: [{ x: rows.reshape([2, 4]), positions: ints(0, 1) }], named: 'learned positions' },
        },
        leftOut: { dispose: 'takes nothing' },
      },
    ],
  };
}
