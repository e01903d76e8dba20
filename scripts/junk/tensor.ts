import { compile, type Device, type Tensor } from '@heddle/tensor';
import { operations } from './tensor-operations.ts';
import { type CallsOf, type Entries, methodsOf, ofFunctions } from './valid-call.ts';

const unaryMethods =
  'abs ceil clone cos exp floor log log10 log2 neg relu round rsqrt sigmoid sin sqrt square tan tanh flatten toString toArray realize';
const binaryMethods =
  'add atan2 div equal greater greaterEqual less lessEqual maximum minimum mul notEqual pow remainder sub';
const axes = ['0:-1', '0.0:-1'];

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));
/** Left to arbitrary junk: who writes operations and kernels calls them, with shapes and dtypes of tensors. */
const forOperations = (names: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, 'is for who writes operations']));
const forExecutors = (names: string): Readonly<Record<string, string>> =>
  Object.fromEntries(names.split(' ').map((name) => [name, 'is for executors and compiled functions']));

/** Methods of a tensor of two values. */
function tensorMethods(device: Device): Entries {
  const x = device.tensor([1, 2]);
  return {
    ...each(unaryMethods, []),
    ...each(binaryMethods, { args: [x], taken: ['0:NaN', '0:-1', '0:1.5'] }),
    ...each('sum mean max min prod', { args: [[0], { keepDims: true }], taken: axes }),
    variance: { args: [[0], { keepDims: true, correction: 1 }], taken: axes },
    std: { args: [[0], { keepDims: true, correction: 1 }], taken: axes },
    norm: { args: [[0], { keepDims: true, ord: 1 }], taken: axes },
    argmax: [0],
    argmin: [0],
    cast: ['f16'],
    clip: [0, 1],
    cumsum: [0],
    data: ['f32'],
    dispose: [],
    diag: [1],
    expand: [[2, 2]],
    flip: { args: [[0]], taken: axes },
    gelu: [{ approximate: 'tanh' }],
    matmul: [x.reshape([2, 1]), { transposeA: false, transposeB: false, dtype: 'f32' }],
    outer: [x],
    permute: [[0]],
    reshape: [[2, 1]],
    slice: [0, 0, 2, 1],
    softmax: [0],
    take: [device.tensor(Int32Array.of(0, 1)), 0],
    to: [device],
    transpose: [0, 0],
    unsqueeze: [0],
  };
}

/** Methods of a device. */
function deviceMethods(device: Device): Entries {
  const x = device.tensor([1, 2]);
  const parts = async function* () {
    yield Float32Array.of(1, 2);
  };
  return {
    arange: [3, 'f32'],
    clone: [x],
    full: [[2], 1, 'i32'],
    memory: [],
    ones: [[2], 'i32'],
    realize: [[x]],
    'realize: updates': { args: () => [[], [device.zeroVariable([2]).assign(x)]] },
    tensor: { args: [[1, 2], { shape: [2, 1], dtype: 'f32' }], taken: ['0:-1', '0:1.5', '0:NaN', '0.0:NaN'] },
    tidy: [() => x.add(1)],
    toString: [],
    trim: [],
    variable: {
      args: [[1, 2], { shape: [2, 1], dtype: 'f32', name: 'w', frozen: true, owner: 'o' }],
      taken: ['0.0:NaN'],
    },
    variableOfParts: {
      args: () => [parts(), { shape: [2], dtype: 'f32', name: 'w', owner: 'o', frozen: true }],
    },
    zeroVariable: [[2], { dtype: 'f32', name: 'w', owner: 'o' }],
    zeros: [[2], 'i32'],
    dispose: [],
  };
}

/** Functions of the tensor package other than operations. */
function others(device: Device): Entries {
  const x = device.tensor([1, 2]);
  const sum = (of: Tensor) => of.sum();
  return {
    checkpoint: [sum],
    customVjp: [sum, () => [x]],
    grad: [sum, { argnums: [0] }],
    valueAndGrad: [sum, { argnums: [0] }],
    // gradients with respect to what the output does not depend on are zeros
    gradients: { args: () => [x.mul(2).sum(), [x]], taken: ['1.0:foreign', '1.0:disposed'] },
    jvp: [sum, [x], [x]],
    vmap: { args: [sum, { inAxes: [0], outAxis: 0 }], taken: ['1.inAxes:-1', '1.inAxes.0:null'] },
    compile: {
      // names of dimensions are the caller's; whether a bound is missing is seen when it is traced
      taken: ['1.symbols:misspelt', '1.inputs.0:*', '1.inputs.0.shape:*'],
      args: [
        sum,
        {
          device,
          inputs: [{ shape: ['T', 2], dtype: 'f32' }],
          symbols: { T: 8 },
          name: 'sum',
          donate: [0],
          memoryBudget: 1e6,
          onePlan: true,
        },
      ],
    },
    symbolicDim: ['T', 8],
    openDevice: ['reference', { memoryBudget: 1e9, debug: true }],
    bf16ToF32: [Uint16Array.of(1)],
    f16ToF32: [Uint16Array.of(1)],
    f32ToBf16: [Float32Array.of(1)],
    f32ToF16: [Float32Array.of(1)],
  };
}

const leftOut: Readonly<Record<string, string>> = {
  calledAs: 'is for who writes functions, and renames what they throw',
  ...forExecutors('createDevice defineOp record recordOn rewriteGraph formatProfile formatReport spreadWorkgroups'),
  ...forOperations('addDims divideDims dimsEqual multiplyDims subtractDims evaluateDim recordOne replay'),
  ...forOperations('broadcastShapes formatShape shapesEqual hostArray hostLength promote'),
  ...forExecutors('matrixFragment gumbelFromBits threefry2x32 uniformFromBits threefryWords wgslWords'),
  checkArguments: 'takes anything, to say what it is',
  checkOptions: 'takes anything, to say what it is',
  dtypeOfArray: 'answers what anything is',
  isBlockFormat: 'answers what anything is',
  isFloat: 'answers what anything is',
  isStorageDType: 'answers what anything is',
  isHeddleError: 'answers what anything is',
  mapTree: 'takes any tree',
};

/** What is called of the tensor package. */
export function tensorCalls(device: Device): CallsOf {
  const variable = () => device.variable([1, 2], { name: 'w' });
  const x = device.tensor([1, 2]);
  const internalOfTensors = forExecutors('hold remember settle cutOff forget keepCopy expire assertUsable');
  const bool = 'is called as a function: it takes bool';
  const step = () =>
    compile((of: Tensor) => of.mul(2), { device, inputs: [{ shape: ['T'] }], symbols: { T: 4 }, name: 'step' });
  return {
    specifier: '@heddle/tensor',
    functions: { ...operations(device), ...others(device) },
    leftOut,
    objects: [
      {
        of: 'Tensor',
        on: () => device.tensor([1, 2]),
        methods: tensorMethods(device),
        leftOut: { ...internalOfTensors, and: bool, or: bool, not: bool, item: 'takes nothing', squeeze: 'as reshape' },
      },
      {
        of: 'Variable',
        on: variable,
        methods: {
          assign: [x],
          scatter: [device.tensor(Int32Array.of(1)), device.tensor([3])],
          data: ['f32'],
          write: [[Float32Array.of(3)], 1],
        },
        leftOut: {
          ...forExecutors('noteUpdate warnOfOpenUpdate'),
          ...internalOfTensors,
          ...Object.fromEntries([...methodsOf(x)].map((name) => [name, 'of Tensor'])),
        },
      },
      {
        of: 'Device',
        on: () => device,
        methods: Object.fromEntries(Object.entries(deviceMethods(device)).filter(([name]) => name !== 'dispose')),
        leftOut: {
          ...forExecutors('identify adopt read submitTogether enqueue afterCalls warnOnce assertOpen'),
          dispose: 'takes nothing, and ends the others',
          leaks: 'takes nothing',
        },
      },
      {
        of: 'compiled function',
        on: step,
        methods: {
          run: {
            args: [[x], { symbols: { T: 2 } }],
            named: 'step',
            // the sizes that the tensors have are what counts
            taken: ['1.symbols:misspelt', '1.symbols:foreign', '1.symbols:disposed', '1.symbols.T:*'],
          },
          prepare: { args: [{ T: 2 }], named: 'step', taken: ['0:misspelt', '0.T:*'] },
          warm: {
            args: [{ buckets: [{ T: 2 }], onProgress: () => undefined }],
            named: 'step',
            taken: ['0.buckets.0:misspelt'],
          },
          plannedBytes: { args: [{ T: 2 }], named: 'step', taken: ['0:misspelt', '0:foreign', '0:disposed', '0.T:*'] },
          explain: [],
          kernelCount: [],
          dispose: [],
        },
        leftOut: { ...forExecutors('profile tune report'), ...ofFunctions },
      },
    ],
  };
}
