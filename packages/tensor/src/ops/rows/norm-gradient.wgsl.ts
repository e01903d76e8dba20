import type { KernelBuffer, KernelCall, KernelContext, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { centredRow } from './layer-norm.wgsl.ts';
import type { NormGradientAttributes } from './norm-gradient.ts';
import { loadFour, type RowText, storeFour, sumOfFours } from './row-kernels.wgsl.ts';
import {
  fitsRowTeam,
  lanesOf,
  type RowFour,
  type RowReduction,
  reduceRow,
  rowTeam,
  teamReductions,
} from './row-team.wgsl.ts';
import { inverseRoot, scaledSquares4 } from './square-scale.ts';

/** Workgroups among which rows are dealt out: enough to fill a large GPU, and few enough for their sums to be little to add. */
const maxGroups = 1024;

/**
 * One pass over the rows, each in the registers of a workgroup, which adds up what its rows give to the gradients with respect to weight
 * and bias. A second kernel adds the sums of the workgroups, in their order: the same bits in every run.
 */
export const normGradientWebGpu: WebGpuLowering<NormGradientAttributes> = {
  supports: ({ inputs: [x] }, capabilities) => fitsRowTeam(x!, capabilities),
  kernels(context) {
    const { inputs, attributes, bound } = context;
    const width = inputs[0]!.shape.at(-1) as number;
    const vectors = attributes.by.filter((input) => input !== 'x');
    const groups = Math.min(bound(sizeOf(inputs[0]!.shape.slice(0, -1))), maxGroups);
    const partial = (access: 'read' | 'write'): KernelBuffer => ({
      name: 'partial',
      scratch: 'partial',
      type: { shape: [Math.max(groups, 1), vectors.length * width], dtype: 'f32' },
      access,
      vector: 4,
    });
    const rows = rowsCall(context, vectors.length > 0 ? [partial('write')] : []);
    return vectors.length > 0 ? [rows, columnsCall(context, partial('read'))] : [rows];
  },
};

function rowsCall(
  { inputs, attributes, capabilities }: KernelContext<NormGradientAttributes>,
  partial: readonly KernelBuffer[],
): KernelCall {
  const { centred, by } = attributes;
  const { shape } = inputs[0]!;
  const width = shape.at(-1) as number;
  const rows = sizeOf(shape.slice(0, -1));
  const lanes = lanesOf(width, capabilities.maxInvocations);
  const has = (input: (typeof by)[number]) => by.includes(input);
  const weighted = inputs.length > 2;
  const used: readonly RowReduction[] = !centred ? ['row_sum'] : has('x') ? ['row_sum', 'row_sum2'] : ['row_sum'];
  const { functions, ...team } = teamReductions(used, lanes, capabilities);
  return {
    label: centred ? 'layerNormGradient' : 'rmsNormGradient',
    buffers: [
      { name: 'x', input: 0, vector: 4 },
      { name: 'g', input: 1, vector: 4 },
      ...(weighted && has('x') ? [{ name: 'weight', input: 2, vector: 4 } as const] : []),
      ...(has('x') ? [{ name: 'y', output: by.indexOf('x'), vector: 4, epilogue: true } as const] : []),
      ...partial,
    ],
    parameters: { rows, fours: width / 4, width },
    threads: lanes,
    ...team,
    write: (names) => {
      const { fours } = rowTeam(width, capabilities, names);
      const reduce: RowText['reduce'] = (name, value) => reduceRow(name, value, names, capabilities);
      const main = rowsText({ fours, names, reduce }, attributes, weighted);
      return { functions: functions(names), main };
    },
    workgroups: (size) => [Math.min(size(rows), maxGroups), 1, 1],
  };
}

/** The statements of the kernel of the rows. */
function rowsText(
  { fours, names, reduce }: RowText,
  { centred, epsilon, by }: NormGradientAttributes,
  weighted: boolean,
): string {
  const { at4, set4, size, prelude } = names;
  const has = (input: (typeof by)[number]) => by.includes(input);
  const kept = (['weight', 'bias'] as const).filter(has);
  const each = (text: (four: RowFour) => string) => fours.map(text).join('\n');
  const mean = (i: number) => `dot(s${i}, vec4<f32>(1.0))`;
  const along = (i: number) => `dot(s${i}, u${i})`;
  const shares = () =>
    centred
      ? reduce('row_sum2', `vec2<f32>(${sumOfFours(fours, mean)}, ${sumOfFours(fours, along)})`)
      : `vec2<f32>(0.0, ${reduce('row_sum', sumOfFours(fours, along))})`;
  const byRows = () => `${each(({ index: i }) => `  let s${i} = g${i}${weighted ? ` * weight${i}` : ''};`)}
  let shares = ${shares()} / f32(${size.width});
${each(({ index: i }) => `  let y${i} = (s${i} - shares.x - u${i} * shares.y) * inverse;`)}
${each((four) => storeFour('y', four, names))}`;
  const sums = { weight: (i: number) => `g${i} * u${i}`, bias: (i: number) => `g${i}` };
  return `  let group = w.x;
  let groups = n.x;
${has('x') && weighted ? each(({ index: i, at }) => `  let weight${i} = ${at4.weight}(${at});`) : ''}
${kept.map((name) => each(({ index: i }) => `  var ${name}_sum${i} = vec4<f32>();`)).join('\n')}
  for (var row = group; row < ${size.rows}; row += groups) {
${each((four) => `${loadFour('x', four, names)}\n${loadFour('g', four, names)}`)}
${
  centred
    ? centredRow({ fours, names, reduce }, epsilon)
    : `${each(({ index: i }) => `  let c${i} = x${i};`)}\n  let squares = ${reduce(
        'row_sum',
        sumOfFours(fours, (i) => scaledSquares4(`x${i}`, epsilon, size.width!, prelude)),
      )};\n  let inverse = ${inverseRoot(`squares / f32(${size.width})`, epsilon, prelude)};`
}
${each(({ index: i }) => `  let u${i} = c${i} * inverse;`)}
${has('x') ? byRows() : ''}
${kept.map((name) => each(({ index: i }) => `  ${name}_sum${i} += ${sums[name](i)};`)).join('\n')}
  }
${kept
  .map((name, part) =>
    each(({ index: i, at, valid }) => {
      const set = `${set4.partial}((group * ${kept.length}u + ${part}u) * ${size.fours} + ${at}, ${name}_sum${i});`;
      return valid ? `  if (${valid}) { ${set} }` : `  ${set}`;
    }),
  )
  .join('\n')}`;
}

/** Adds the sums of all workgroups: four fours of columns to a workgroup, 64 invocations to each. */
function columnsCall(
  { inputs, attributes: { by } }: KernelContext<NormGradientAttributes>,
  partial: KernelBuffer,
): KernelCall {
  const { shape } = inputs[0]!;
  const fours = (shape.at(-1) as number) / 4;
  const kept = (['weight', 'bias'] as const).filter((input) => by.includes(input));
  const columns = kept.length * fours;
  return {
    label: 'normGradient.columns',
    buffers: [
      partial,
      ...kept.map((name): KernelBuffer => ({ name, output: by.indexOf(name), vector: 4, epilogue: true })),
    ],
    parameters: { rows: sizeOf(shape.slice(0, -1)), fours, columns },
    threads: 256,
    builtins: { w: 'workgroup_id', l: 'local_invocation_index' },
    workgroup: { sums: { type: 'vec4<f32>', length: 256 } },
    write: ({ at4, set4, size, shared: { sums } }) => {
      const store = kept.map(
        (name, part) =>
          `if (column / ${size.fours} == ${part}u) { ${set4[name]}(column % ${size.fours}, ${sums}[l]); }`,
      );
      const main = `  let column = w.x * 4u + l % 4u;
  let groups = min(${size.rows}, ${maxGroups}u);
  let place = min(column, ${size.columns} - 1u);
  var sum = vec4<f32>();
  for (var group = l / 4u; group < groups; group += 64u) { sum += ${at4.partial}(group * ${size.columns} + place); }
  ${sums}[l] = sum;
${[32, 16, 8, 4, 2, 1]
  .map((half) => `  workgroupBarrier();\n  if (l < ${4 * half}u) { ${sums}[l] += ${sums}[l + ${4 * half}u]; }`)
  .join('\n')}
  if (l < 4u && column < ${size.columns}) {
    ${store.join('\n    ')}
  }`;
      return { main };
    },
    workgroups: () => [Math.ceil(columns / 4), 1, 1],
  };
}
