export { checkpoint } from './autograd/checkpoint.ts';
export { customVjp, type VjpContext } from './autograd/custom-vjp.ts';
export { type Gradient, type Gradients, grad, valueAndGrad } from './autograd/grad.ts';
export { gradients } from './autograd/gradients.ts';
export {
  type CompiledFunction,
  type CompileOptions,
  compile,
  type FedArguments,
  type Results,
  type WarmOptions,
} from './compile/compile.ts';
export type { Fed, InputSpec, ShapedArray } from './compile/input-spec.ts';
export type { WarmProgress } from './compile/warm.ts';
export { Device } from './device.ts';
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
  hostArray,
  hostLength,
  isBlockFormat,
  isFloat,
  isStorageDType,
  promote,
  type StorageDType,
} from './dtype.ts';
export * from './errors.ts';
export type { CompileTarget, Executor, Program, Storage } from './executor.ts';
export type { OnnxBuilder, OnnxLowering } from './executors/onnx/lowering.ts';
export type { ReferenceArray, ReferenceLowering } from './executors/reference/lowering.ts';
export type {
  KernelBuffer,
  KernelCall,
  KernelContext,
  PointwiseContext,
  WebGpuCapabilities,
  WebGpuLowering,
} from './executors/webgpu/lowering.ts';
export { spreadWorkgroups } from './executors/webgpu/workgroups.ts';
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './float16.ts';
export { formatProfile, formatReport } from './format-report.ts';
export type { Graph } from './graph/graph.ts';
export { defineOp, type GradientContext, type Node, type Op, type OpDefinition } from './graph/op.ts';
export { record, recordOn, recordOne } from './graph/record.ts';
export { Tensor } from './graph/tensor.ts';
export { Update, Variable } from './graph/variable.ts';
export type { HostData, NestedNumbers, TensorOptions } from './host-data.ts';
export type { HeldAllocation, Holder, MemoryReport } from './memory.ts';
export { gelu, relu, softplus } from './ops/activation.ts';
export { flip, repeat, roll, split, squeeze, stack, tile, unsqueeze } from './ops/arrange.ts';
export { bitAnd, bitOr, bitXor, shiftLeft, shiftRight } from './ops/bitwise.ts';
export { cast, dequantize } from './ops/cast.ts';
export {
  and,
  equal,
  greater,
  greaterEqual,
  isNan,
  less,
  lessEqual,
  not,
  or,
} from './ops/comparison.ts';
export { concat } from './ops/concat.ts';
export { eye, linspace, oneHot, tril, triu } from './ops/construction.ts';
export { type AxisPadding, type Conv1dOptions, type Conv2dOptions, conv1d, conv2d } from './ops/convolution.ts';
export { arange, full, sizeScalar } from './ops/creation.ts';
export { cumsum } from './ops/cumsum.ts';
export type { Operand } from './ops/define-elementwise.ts';
export { dropout } from './ops/dropout.ts';
export { einsum } from './ops/einsum.ts';
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
  sub,
  tanh,
  where,
} from './ops/elementwise.ts';
export { erf } from './ops/erf.ts';
export { expm1, log1p } from './ops/exponential.ts';
export { argmax, argmin, max, min } from './ops/extremum.ts';
export { embedding, scatterAdd, take } from './ops/gather.ts';
export { identity, stopGradient } from './ops/identity.ts';
export { indexSelect, maskedFill, scatterAddAlongAxis, takeAlongAxis } from './ops/indexing.ts';
export { type LinearCrossEntropyOptions, linearCrossEntropy } from './ops/loss.ts';
export { type MatmulOptions, matmul } from './ops/matmul.ts';
export { expand, flatten, permute, reshape, transpose } from './ops/movement.ts';
export { type CrossEntropyOptions, crossEntropy, linear, silu } from './ops/nn.ts';
export { groupNorm, layerNorm } from './ops/normalization.ts';
export { prod } from './ops/prod.ts';
export { foldKey, type RandomKey, randomBits, randomKey, randomNormal, randomUniform } from './ops/random.ts';
export { randomCategorical } from './ops/random-categorical.ts';
export { mean, sum } from './ops/reduce.ts';
export { rmsNorm } from './ops/rms-norm.ts';
export { clip, round } from './ops/rounding.ts';
export { pad, slice } from './ops/slice.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { type Sorted, sort, topK } from './ops/sort.ts';
export { all, any, logSumExp, variance } from './ops/statistics.ts';
export { tensorWords } from './ops/threefry.ts';
export type { BufferUse, KernelReport, KernelTime, PlanMemory, PlanReport, TuningResult } from './plan-report.ts';
export { threefry2x32, uniformFromBits } from './random-bits.ts';
export { broadcastShapes, type ConcreteType, formatShape, type Shape, shapesEqual, type TensorType } from './shape.ts';
export { threefryWords, type WordArithmetic, wgslWords } from './threefry-words.ts';
export { mapTree } from './tree.ts';
