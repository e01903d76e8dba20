export { checkpoint } from './autograd/checkpoint.ts';
export { customVjp, type VjpContext } from './autograd/custom-vjp.ts';
export { type Gradient, type Gradients, grad, valueAndGrad } from './autograd/grad.ts';
export { gradients } from './autograd/gradients.ts';
export { jvp } from './autograd/jvp.ts';
export { type VmapOptions, vmap } from './autograd/vmap.ts';
export { calledAs } from './checks/called-as.ts';
export { type ArgumentKind, checkArguments } from './checks/check-arguments.ts';
export { checkOptions, type OptionKinds } from './checks/check-options.ts';
export * from './checks/errors.ts';
export { compile } from './compile/compile.ts';
export type {
  CompiledFunction,
  CompileOptions,
  FedArguments,
  Results,
  WarmOptions,
} from './compile/compiled-function.ts';
export type { Fed, InputSpec, ShapedArray } from './compile/input-spec.ts';
export type { WarmProgress } from './compile/warm.ts';
export { createDevice } from './create-device.ts';
export {
  addDims,
  type Dim,
  type DimSymbol,
  dimsEqual,
  divideDims,
  evaluateDim,
  multiplyDims,
  SymbolicDim,
  type SymbolValues,
  subtractDims,
  symbolicDim,
} from './dim.ts';
export {
  type BlockFormat,
  blockSizes,
  byteSize,
  type DType,
  dtypeOfArray,
  type HostArray,
  type HostArrays,
  hostArray,
  hostLength,
  isBlockFormat,
  isFloat,
  isStorageDType,
  promote,
  type StorageDType,
} from './dtype.ts';
export {
  type ExpressionSource,
  ExpressionWriter,
  NoExpressionError,
} from './executors/webgpu/codegen/expression-writer.ts';
export { Place } from './executors/webgpu/codegen/place.ts';
export { type MatrixFragment, matrixFragment } from './executors/webgpu/matrix-fragment.ts';
export { spreadWorkgroups } from './executors/webgpu/workgroups.ts';
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './float16.ts';
export type { Device } from './graph/device.ts';
export type { CompileTarget, Executor, Program, Storage } from './graph/executor.ts';
export type { Graph } from './graph/graph.ts';
export type { Own } from './graph/lifetimes.ts';
export type { OnnxBlocks, OnnxBuilder, OnnxLowering, OnnxTurn, OnnxType, OnnxTyped } from './graph/onnx-lowering.ts';
export { defineOp, type GradientContext, type Node, type Op, type OpDefinition } from './graph/op.ts';
export { record, recordOn, recordOne } from './graph/record.ts';
export type { ReferenceArray, ReferenceContext, ReferenceLowering } from './graph/reference-lowering.ts';
export { type Replacement, type RewriteRules, replay, rewriteGraph } from './graph/replay.ts';
export { Tensor } from './graph/tensor.ts';
export type { MatmulOptions, Operand } from './graph/tensor-operations.ts';
export { Update, Variable } from './graph/variable.ts';
export type {
  KernelBody,
  KernelBuffer,
  KernelBufferSource,
  KernelBuiltin,
  KernelCall,
  KernelContext,
  KernelNames,
  PointwiseContext,
  Prelude,
  PreludeFunction,
  WebGpuCapabilities,
  WebGpuLowering,
  WorkgroupArray,
} from './graph/webgpu-lowering.ts';
export type { HostData, NestedNumbers, TensorOptions } from './host-data.ts';
export { type DeviceName, deviceNames, type OpenDeviceOptions, openDevice } from './open-device.ts';
export {
  type AxisPadding,
  type Conv1dOptions,
  type Conv2dOptions,
  conv1d,
  conv2d,
} from './ops/convolution/convolution.ts';
export {
  type AvgPoolOptions,
  avgPool1d,
  avgPool2d,
  maxPool1d,
  maxPool2d,
  type PoolOptions,
} from './ops/convolution/pooling.ts';
export {
  type ConvTranspose1dOptions,
  type ConvTranspose2dOptions,
  convTranspose1d,
  convTranspose2d,
} from './ops/convolution/transposed.ts';
export { eye, linspace, oneHot, tril, triu } from './ops/create/construction.ts';
export { arange, full, sizeScalar } from './ops/create/creation.ts';
export { dropout } from './ops/create/dropout.ts';
export { foldKey, type RandomKey, randomBits, randomKey, randomNormal, randomUniform } from './ops/create/random.ts';
export { randomCategorical } from './ops/create/random-categorical.ts';
export { randomGumbel } from './ops/create/random-gumbel.ts';
export { tensorWords } from './ops/create/threefry.ts';
export { einsum } from './ops/einsum.ts';
export { gelu, relu, silu, softplus } from './ops/elementwise/activation.ts';
export { bitAnd, bitOr, bitXor, shiftLeft, shiftRight } from './ops/elementwise/bitwise.ts';
export { cast, dequantize } from './ops/elementwise/cast.ts';
export {
  and,
  equal,
  greater,
  greaterEqual,
  isNan,
  less,
  lessEqual,
  not,
  notEqual,
  or,
} from './ops/elementwise/comparison.ts';
export {
  abs,
  add,
  cos,
  div,
  exp,
  floor,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from './ops/elementwise/elementwise.ts';
export { erf } from './ops/elementwise/erf.ts';
export { expm1, log1p, log2, log10 } from './ops/elementwise/exponential.ts';
export { elu, leakyRelu, mish, relu6 } from './ops/elementwise/rectifiers.ts';
export { remainder } from './ops/elementwise/remainder.ts';
export { ceil, clip, round } from './ops/elementwise/rounding.ts';
export { atan2, tan } from './ops/elementwise/trigonometry.ts';
export { where } from './ops/elementwise/where.ts';
export { expertMatmul } from './ops/experts/expert-matmul.ts';
export { clampedGate, type ExpertWeights, type GateFunction, routedExperts } from './ops/experts/routed-experts.ts';
export { type Routing, type RoutingOptions, routeTokens } from './ops/experts/routing.ts';
export { embedding, scatterAdd, take } from './ops/indexing/gather.ts';
export { indexSelect, maskedFill, scatterAddAlongAxis, takeAlongAxis } from './ops/indexing/indexing.ts';
export { argsort, type Sorted, sort, topK } from './ops/indexing/sort.ts';
export {
  binaryCrossEntropyWithLogits,
  huberLoss,
  klDiv,
  type LossOptions,
  l1Loss,
  mseLoss,
} from './ops/losses.ts';
export { matmul } from './ops/matmul/matmul.ts';
export { repeat, roll, split, squeeze, stack, tile, unsqueeze } from './ops/movement/arrange.ts';
export { concat } from './ops/movement/concat.ts';
export { diag, outer } from './ops/movement/diagonal.ts';
export { flip } from './ops/movement/flip.ts';
export { identity, stopGradient } from './ops/movement/identity.ts';
export { expand, flatten, permute, reshape, transpose } from './ops/movement/movement.ts';
export { pad, slice } from './ops/movement/slice.ts';
export { type CrossEntropyOptions, crossEntropy, linear } from './ops/nn.ts';
export { cumsum } from './ops/reduce/cumsum.ts';
export { argmax, argmin, max, min } from './ops/reduce/extremum.ts';
export { massThreshold } from './ops/reduce/mass-threshold.ts';
export { norm, std } from './ops/reduce/norm.ts';
export { prod } from './ops/reduce/prod.ts';
export { type Axes, mean, type ReduceOptions, sum } from './ops/reduce/reduce.ts';
export { all, any, logSumExp, variance } from './ops/reduce/statistics.ts';
export { type BatchNormOptions, batchNorm } from './ops/rows/batch-norm.ts';
export { type LinearCrossEntropyOptions, linearCrossEntropy } from './ops/rows/loss.ts';
export { groupNorm, layerNorm } from './ops/rows/normalization.ts';
export { rmsNorm } from './ops/rows/rms-norm.ts';
export { logSoftmax, softmax } from './ops/rows/softmax.ts';
export { gumbelFromBits, threefry2x32, uniformFromBits } from './random/random-bits.ts';
export { threefryWords, type WordArithmetic, wgslWords } from './random/threefry-words.ts';
export { formatProfile, formatReport } from './report/format-report.ts';
export type { HeldAllocation, Holder, MemoryReport } from './report/memory.ts';
export type {
  BufferUse,
  KernelReport,
  KernelTime,
  PlanMemory,
  PlanReport,
  TuningResult,
} from './report/plan-report.ts';
export { broadcastShapes, type ConcreteType, formatShape, type Shape, shapesEqual, type TensorType } from './shape.ts';
export { mapTree } from './tree.ts';
