import { type Fault, faultsOf } from './fault.ts';

const elementwise = 'elementwise/elementwise.backend.test.ts';

/** Gradients and decompositions, seen by finite differences and by rules that hold on every device. */
const operations = faultsOf(
  ['reference'],
  [
    {
      breaks: 'the gradient of a difference has one sign',
      file: 'elementwise/elementwise.ts',
      find: 'gradient: (_, __, g) => [g, g.neg()],',
      put: 'gradient: (_, __, g) => [g, g],',
      tests: [elementwise],
    },
    {
      breaks: 'the factors of a product change places in its gradient',
      file: 'elementwise/elementwise.ts',
      find: '[g.mul(b!), g.mul(a!)]',
      put: '[g.mul(a!), g.mul(b!)]',
      tests: [elementwise],
    },
    {
      breaks: 'both sides of a tie take the whole gradient',
      file: 'elementwise/elementwise.ts',
      find: 'where(a.equal(b), g.mul(0.5),',
      put: 'where(a.equal(b), g,',
      tests: ['ops/right-gradients.backend.test.ts'],
    },
    {
      breaks: 'the smaller of two values passes its gradient to the larger',
      file: 'elementwise/elementwise.ts',
      find: '[share(b!, a!, g), share(a!, b!, g)]',
      put: '[share(a!, b!, g), share(b!, a!, g)]',
      tests: [elementwise],
    },
    {
      breaks: 'the gradient of a running sum runs the same way',
      file: 'reduce/cumsum.ts',
      find: 'reverse: !attributes.reverse }',
      put: 'reverse: attributes.reverse }',
      tests: ['cumsum.backend.test.ts'],
    },
    {
      breaks: 'several largest values take the whole gradient each',
      file: 'reduce/extremum.ts',
      find: 'restore(g!, x!.shape, attributes).div(count)',
      put: 'restore(g!, x!.shape, attributes)',
      tests: ['extremum.backend.test.ts', 'special-values.backend.test.ts'],
    },
    {
      breaks: 'axes come back in another order in the gradient of take',
      file: 'indexing/gather.ts',
      find: '(i === axis ? 0 : i < axis ? i + 1 : i)',
      put: '(i === axis ? 0 : i)',
      tests: ['gather.backend.test.ts'],
    },
    {
      breaks: 'every part of a concatenation gets the gradient of the first',
      file: 'movement/concat.ts',
      find: '      start = end;\n      return part;',
      put: '      return part;',
      tests: ['concat.backend.test.ts'],
    },
    {
      breaks: 'what dropout keeps is not rescaled',
      file: 'create/dropout.ts',
      find: '1 / (1 - rate)',
      put: '1',
      tests: ['create/dropout.backend.test.ts'],
    },
    {
      breaks: 'rows that do not count are counted in the mean loss',
      file: 'rows/cross-entropy-rows.ts',
      find: "sum(cast(targets.equal(ignoreIndex).not(), 'f32'))",
      put: "sum(cast(targets.equal(ignoreIndex - 1).not(), 'f32'))",
      tests: ['rows/loss.backend.test.ts'],
    },
    {
      breaks: 'only the first chunk of rows counts in the loss',
      file: 'rows/loss.ts',
      find: '(total ? total.add(part) : part)',
      put: '(total ? total : part)',
      tests: ['rows/loss.backend.test.ts'],
    },
    {
      breaks: 'a slice may end one beyond its axis',
      file: 'movement/slice.ts',
      find: "typeof to === 'number' && to > size",
      put: "typeof to === 'number' && to > size + 1",
      tests: ['ops/mistakes.test.ts'],
      projects: ['unit'],
    },
    {
      breaks: 'gradients that meet in one tensor are not added',
      file: 'autograd/gradients.ts',
      find: 'return void found.set(tensor, before.add(gradient))',
      put: 'return void found.set(tensor, gradient)',
      tests: [elementwise, 'compile/training-step.backend.test.ts'],
    },
    {
      breaks: 'the sum of exponentials overflows',
      file: 'reduce/statistics.ts',
      find: 'where(finite, most, 0)',
      put: 'where(finite, 0, 0)',
      tests: ['statistics.backend.test.ts', 'special-values.backend.test.ts'],
    },
  ],
);

/** The same where an executor goes its own way, against the reference. */
const executors = faultsOf(
  ['onnx'],
  [
    {
      breaks: 'an exclusive sum includes its own value in the reference',
      file: 'reduce/cumsum.ts',
      find: 'result[place] = exclusive ? total : total + data[place]!;',
      put: 'result[place] = total + data[place]!;',
      tests: ['cumsum.backend.test.ts'],
    },
    {
      breaks: 'sums on ONNX Runtime run the other way',
      file: 'reduce/cumsum.ts',
      find: 'reverse: Number(reverse) }',
      put: 'reverse: Number(!reverse) }',
      tests: ['cumsum.backend.test.ts'],
    },
    {
      breaks: 'slices on ONNX Runtime end one step early',
      file: 'movement/slice.ts',
      find: 'addDims(start[i]!, addDims(multiplyDims(subtractDims(dim, 1), step[i]!), 1))',
      put: 'addDims(start[i]!, multiplyDims(subtractDims(dim, 1), step[i]!))',
      tests: ['movement/slice.backend.test.ts'],
    },
    {
      breaks: 'padding on ONNX Runtime lies in front alone',
      file: 'movement/slice.ts',
      find: 'builder.sizes([...start, ...after])',
      put: 'builder.sizes([...after, ...start])',
      tests: ['movement/slice.backend.test.ts'],
    },
    {
      breaks: 'maxima on ONNX Runtime lose what is not a number',
      file: 'reduce/extremum.ts',
      find: "onnx: keepingNaN('ReduceMax')",
      put: "onnx: 'ReduceMax'",
      tests: ['extremum.backend.test.ts', 'special-values.backend.test.ts'],
    },
    {
      breaks: 'a decomposed RMSNorm forgets its weight',
      file: 'rows/rms-norm.ts',
      find: '.unit.mul(weight!)',
      put: '.unit',
      tests: ['rms-norm.backend.test.ts'],
    },
    {
      breaks: 'indices above the last row are not clamped on ONNX Runtime',
      file: 'indexing/gather.ts',
      find: "builder.op('Max', [builder.op('Min', [indices!, last]), builder.constant('i32', [1], [0])]);\n        const shaped",
      put: "builder.op('Max', [indices!, builder.constant('i32', [1], [0])]);\n        const shaped",
      tests: ['gather.backend.test.ts', 'special-values.backend.test.ts'],
    },
  ],
);

const wgsl = faultsOf(
  ['webgpu-node'],
  [
    {
      breaks: 'a running sum forgets what came in the chunks before',
      file: 'cumsum.wgsl.ts',
      find: 'let sum = carry + ',
      put: 'let sum = ',
      tests: ['cumsum.backend.test.ts'],
    },
    {
      breaks: 'a running sum reads before the last step was written',
      file: 'cumsum.wgsl.ts',
      find: '        workgroupBarrier();\n        ${part}[l] += left;',
      put: '        ${part}[l] += left;',
      tests: ['cumsum.backend.test.ts'],
      softwareOnly: 'the subgroups of a workgroup read before any of them writes, by their speed alone',
    },
    {
      breaks: 'softmax does not subtract the largest value',
      file: 'rows/softmax.wgsl.ts',
      find: '(x${index} - high)`',
      put: '(x${index})`',
      tests: ['softmax.backend.test.ts'],
    },
    {
      breaks: 'what lies beyond the end of a row counts in softmax',
      file: 'rows/softmax.wgsl.ts',
      find: 'valid ? `select(vec4<f32>(), ${value}, ${valid})` : value',
      put: 'value',
      tests: ['softmax.backend.test.ts'],
    },
    {
      breaks: 'the gradient of log softmax is that of softmax',
      file: 'rows/softmax.wgsl.ts',
      find: '`g${i} - exp(r${i}) * total`',
      put: '`g${i} - r${i} * total`',
      tests: ['softmax.backend.test.ts'],
    },
    {
      breaks: 'padding repeats the edge',
      file: 'movement/slice.ts',
      find: '          inside.push(`${at} < ${dim(x!.shape[i]!)}`);\n',
      put: '',
      tests: ['movement/slice.backend.test.ts'],
    },
    {
      breaks: 'the first value of each later part of a concatenation comes from the part before',
      file: 'movement/concat.ts',
      find: '>= ${dim(start)}',
      put: '> ${dim(start)}',
      tests: ['concat.backend.test.ts'],
    },
    {
      breaks: 'a product stores rows beyond its last',
      file: 'gemm/simt.wgsl.ts',
      find: '`if (${rowOf(i)} < ${size.m}) {',
      put: '`if (${rowOf(i)} <= ${size.m}) {',
      tests: ['matmul/matmul.backend.test.ts', 'matmul-kernels.backend.test.ts'],
    },
    {
      breaks: 'sorting is not stable between blocks',
      file: 'indexing/sort.wgsl.ts',
      find: 'first.x > second.x || (first.x == second.x && first.y > second.y)',
      put: 'first.x > second.x',
      tests: ['sort.backend.test.ts'],
    },
    {
      breaks: 'negative floats sort in reverse',
      file: 'indexing/sort.wgsl.ts',
      find: 'select(bits ^ 0x80000000u, ~bits, bits >= 0x80000000u)',
      put: '(bits ^ 0x80000000u)',
      tests: ['sort.backend.test.ts'],
    },
    {
      breaks: 'the parts of a long row are combined from the first part alone',
      file: 'codegen/reduction.ts',
      find: 'row * ${parts}u + j)',
      put: 'row * ${parts}u)',
      tests: ['reduce/reduce.backend.test.ts'],
    },
    {
      breaks: 'negative indices are not clamped',
      file: 'indexing/gather.ts',
      find: 'u32(max(${index}, 0))',
      put: 'u32(${index})',
      tests: ['gather.backend.test.ts', 'special-values.backend.test.ts'],
    },
  ],
);

export const tensorFaults: readonly Fault[] = [...operations, ...executors, ...wgsl];
