import { type Device, randomKey } from '@heddle/tensor';
import type { Entries } from './valid-call.ts';

const unary =
  'abs ceil cos erf exp expm1 flatten floor identity isNan log log10 log1p log2 mish neg not relu relu6 round rsqrt sigmoid sign silu sin softplus sqrt square stopGradient tan tanh';
const binary = 'add atan2 div equal greater greaterEqual less lessEqual maximum minimum mul notEqual pow remainder sub';
const bits = 'bitAnd bitOr bitXor shiftLeft shiftRight';
const reductions = 'all any logSumExp max mean min prod sum';

/** Numbers stand for tensors in operations of two. */
const operands = ['0:NaN', '0:-1', '0:1.5', '1:NaN', '1:-1', '1:1.5'];
/** One axis, several, or none. */
const axes = ['1:-1', '1.0:-1'];

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));

/** Operations of the tensor package, each called rightly. */
export function operations(device: Device): Entries {
  const x = device.tensor([
    [1, 2],
    [3, 4],
  ]);
  const y = device.tensor([1, 2]);
  const i = device.tensor(Int32Array.of(0, 1));
  const words = device.tensor(Uint32Array.of(1, 2));
  const b = device.tensor([true, false]);
  const key = randomKey(device, 1);
  const image = device.zeros([1, 2, 4, 4]);
  const row = device.zeros([1, 2, 4]);
  return {
    ...each(unary, [x]),
    not: [b],
    ...each(binary, { args: [x, y], taken: operands }),
    ...each(bits, { args: [words, words], taken: operands }),
    ...each('and or', { args: [b, b], taken: operands }),
    ...each(reductions, { args: [x, [0], { keepDims: true }], taken: axes }),
    all: { args: [b, [0], { keepDims: true }], taken: axes },
    any: { args: [b, [0], { keepDims: true }], taken: axes },
    norm: { args: [x, [0], { keepDims: true, ord: 1 }], taken: axes },
    std: { args: [x, [0], { keepDims: true, correction: 1 }], taken: axes },
    variance: { args: [x, [0], { keepDims: true, correction: 1 }], taken: axes },
    arange: [device, 3, 'i32'],
    argmax: [x, 0],
    argmin: [x, 0],
    argsort: [x, 0, { descending: true }],
    avgPool1d: [row, 2, { stride: 1, padding: 1, countIncludePad: true }],
    avgPool2d: [image, 2, { stride: 1, padding: 1, countIncludePad: true }],
    maxPool1d: [row, 2, { stride: 1, padding: 1, dilation: 1 }],
    maxPool2d: [image, [2, 2], { stride: [1, 1], padding: 1, dilation: 1 }],
    batchNorm: [row, { weight: y, bias: y, runningMean: y, runningVariance: y, epsilon: 1e-5 }],
    binaryCrossEntropyWithLogits: [x, x, { reduction: 'sum', positiveWeight: 2 }],
    cast: [x, 'f16'],
    clampedGate: [{ limit: 7, alpha: 1 }],
    clip: [x, 0, 1],
    concat: [[x, x], 0],
    conv1d: [row, device.zeros([3, 2, 2]), { bias: device.zeros([3]), stride: 1, padding: 1, dilation: 1, groups: 1 }],
    conv2d: [
      image,
      device.zeros([3, 2, 2, 2]),
      { bias: device.zeros([3]), stride: [1, 1], padding: 1, dilation: 1, groups: 1 },
    ],
    convTranspose1d: [
      row,
      device.zeros([2, 3, 2]),
      { bias: device.zeros([3]), stride: 2, padding: 1, outputPadding: 1, dilation: 1, groups: 1 },
    ],
    convTranspose2d: [
      image,
      device.zeros([2, 3, 2, 2]),
      { bias: device.zeros([3]), stride: [2, 2], padding: 1, outputPadding: 1, dilation: 1, groups: 1 },
    ],
    crossEntropy: [x, i, { ignoreIndex: 1, labelSmoothing: 0.1 }],
    cumsum: [x, 0, { exclusive: true, reverse: true }],
    dequantize: { args: [device.variable(new Uint8Array(34), { shape: [1, 32], dtype: 'q8_0' }), 'f32'] },
    diag: [y, 1],
    dropout: { args: [x, 0.5, key], taken: ['2:-1', '2:1.5'] },
    einsum: ['ij,j->i', x, y],
    elu: [x, 1],
    embedding: [x, i],
    expand: [y, [2, 2]],
    expertMatmul: [
      device.zeros([2, 1, 2]),
      device.zeros([2, 3, 2]),
      device.tensor(Int32Array.of(0, 1), { shape: [2, 1] }),
    ],
    eye: [device, 2, 3, { diagonal: 1, dtype: 'i32' }],
    flip: { args: [x, [0]], taken: axes },
    foldKey: [key, 1],
    full: [device, [2], 1, 'i32'],
    gelu: [x, { approximate: 'tanh' }],
    groupNorm: [row, 2, y, y, 1e-5],
    huberLoss: [x, x, { reduction: 'none', delta: 1 }],
    indexSelect: [x, i, 0],
    klDiv: [x, x, { reduction: 'none', logTarget: true }],
    l1Loss: [x, x, { reduction: 'none' }],
    layerNorm: [x, y, y, 1e-5],
    leakyRelu: [x, 0.1],
    linear: [x, x, y, { dtype: 'f32' }],
    linearCrossEntropy: [x, x, i, { bias: y, ignoreIndex: 1, labelSmoothing: 0.1, chunkRows: 1 }],
    linspace: [device, 0, 1, 3],
    logSoftmax: [x, 0],
    maskedFill: { args: [x, b, 0], taken: ['2:NaN'] },
    massThreshold: [x, x, y],
    matmul: [x, x, { transposeA: true, transposeB: true, dtype: 'f32' }],
    mseLoss: [x, x, { reduction: 'none' }],
    oneHot: [i, 2, 'f32'],
    outer: [y, y],
    pad: [x, [1, 1], [1, 1]],
    permute: [x, [1, 0]],
    randomBits: { args: [device, [2], key], taken: ['2:-1', '2:1.5'] },
    randomCategorical: [x, key],
    randomGumbel: [device.tensor(Uint32Array.of(1, 2), { shape: [1, 2] }), device.tensor(Uint32Array.of(1)), 2],
    randomKey: [device, 1],
    randomNormal: [device, [2], key, { mean: 0, deviation: 1, dtype: 'f32' }],
    randomUniform: [device, [2], key, { low: 0, high: 1, dtype: 'f32' }],
    repeat: [x, 2, 0],
    reshape: [x, [4]],
    rmsNorm: [x, y, 1e-5],
    roll: [x, 1, 0],
    routeTokens: [
      device.zeros([2, 4]),
      {
        count: 1,
        scores: 'sigmoid',
        normalize: true,
        scale: 1,
        correction: device.zeros([4]),
        groups: { count: 2, chosen: 1 },
      },
    ],
    routedExperts: [
      x,
      { experts: device.tensor(Int32Array.of(0, 0), { shape: [2, 1] }), weights: device.ones([2, 1]) },
      {
        gate: device.zeros([1, 3, 2]),
        up: device.zeros([1, 3, 2]),
        down: device.zeros([1, 2, 3]),
        gateBias: device.zeros([1, 3]),
        upBias: device.zeros([1, 3]),
        downBias: device.zeros([1, 2]),
      },
    ],
    scatterAdd: [2, i, x],
    scatterAddAlongAxis: [2, device.tensor(Int32Array.of(0, 1), { shape: [2, 1] }), device.ones([2, 1]), 0],
    sizeScalar: [device, 3, 'i32'],
    slice: [x, 0, 0, 2, 1],
    softmax: [x, 0],
    sort: [x, 0, { descending: true }],
    split: { args: [x, 2, 0], taken: ['1:[]'] },
    squeeze: { args: [device.zeros([1, 2]), [0]], taken: axes },
    stack: [[x, x], 0],
    take: [x, i, 0],
    takeAlongAxis: [x, device.tensor(Int32Array.of(0, 1), { shape: [1, 2] }), 0],
    tile: [x, [1, 2]],
    topK: [x, 1, 0, { largest: false }],
    transpose: [x, 0, 1],
    tril: [x, 0],
    triu: [x, 0],
    unsqueeze: [x, 0],
    where: { args: [b, x, y], taken: ['1:NaN', '1:-1', '1:1.5', '2:NaN', '2:-1', '2:1.5'] },
  };
}
