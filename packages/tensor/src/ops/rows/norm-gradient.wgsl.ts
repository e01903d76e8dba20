import { floatLiteral } from '../../executors/webgpu/codegen/float-literal.ts';
import type { KernelBuffer, KernelCall, KernelContext, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { centredRow } from './layer-norm.wgsl.ts';
import type { NormGradientAttributes } from './norm-gradient.ts';
import { loadFour, storeFour, sumOfFours } from './row-kernels.wgsl.ts';
import { fitsRowTeam, type RowFour, rowTeam, withReductions } from './row-team.wgsl.ts';

/** Workgroups among which rows are dealt out: enough to fill a large GPU, and few enough for their sums to be little to add. */
const mostGroups = 1024;

/**
 * One pass over the rows, each in the registers of a workgroup, which adds up what its rows give to the gradients by weight
 * and bias. A second kernel adds the sums of the workgroups, in their order: the same bits in every run.
 */
export const normGradientWebGpu: WebGpuLowering<NormGradientAttributes> = {
  supports: ({ inputs: [x] }, capabilities) => fitsRowTeam(x!, capabilities),
  kernels(context) {
    const { inputs, attributes, bound } = context;
    const width = inputs[0]!.shape.at(-1) as number;
    const vectors = attributes.by.filter((input) => input !== 'x');
    const groups = Math.min(bound(sizeOf(inputs[0]!.shape.slice(0, -1))), mostGroups);
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
  const { centred, epsilon, by } = attributes;
  const { shape } = inputs[0]!;
  const width = shape.at(-1) as number;
  const rows = sizeOf(shape.slice(0, -1));
  const { lanes, fours } = rowTeam(width, capabilities);
  const has = (input: (typeof by)[number]) => by.includes(input);
  const weighted = inputs.length > 2;
  const each = (text: (four: RowFour) => string) => fours.map(text).join('\n');
  const mean = (i: number) => `dot(s${i}, vec4<f32>(1.0))`;
  const along = (i: number) => `dot(s${i}, u${i})`;
  const shares = centred
    ? `row_sum2(vec2<f32>(${sumOfFours(fours, mean)}, ${sumOfFours(fours, along)}))`
    : `vec2<f32>(0.0, row_sum(${sumOfFours(fours, along)}))`;
  const byRows = `${each(({ index: i }) => `  let s${i} = g${i}${weighted ? ` * weight${i}` : ''};`)}
  let shares = ${shares} / f32(params.width);
${each(({ index: i }) => `  let y${i} = (s${i} - shares.x - u${i} * shares.y) * inverse;`)}
${each((four) => storeFour('y', four))}`;
  const sums = { weight: (i: number) => `g${i} * u${i}`, bias: (i: number) => `g${i}` };
  const kept = (['weight', 'bias'] as const).filter(has);
  const text = `
${has('x') && weighted ? each(({ index: i, at }) => `  let weight${i} = weight_at4(${at});`) : ''}
${kept.map((name) => each(({ index: i }) => `  var ${name}_sum${i} = vec4<f32>();`)).join('\n')}
  for (var row = group; row < params.rows; row += groups) {
${each((four) => `${loadFour('x', four)}\n${loadFour('g', four)}`)}
${centred ? centredRow(fours, epsilon) : `${each(({ index: i }) => `  let c${i} = x${i};`)}\n  let inverse = inverseSqrt(row_sum(${sumOfFours(fours, (i) => `dot(x${i}, x${i})`)}) / f32(params.width) + ${floatLiteral(epsilon)});`}
${each(({ index: i }) => `  let u${i} = c${i} * inverse;`)}
${has('x') ? byRows : ''}
${kept.map((name) => each(({ index: i }) => `  ${name}_sum${i} += ${sums[name](i)};`)).join('\n')}
  }
${kept
  .map((name, part) =>
    each(({ index: i, at, valid }) => {
      const set = `partial_set4((group * ${kept.length}u + ${part}u) * params.fours + ${at}, ${name}_sum${i});`;
      return valid ? `  if (${valid}) { ${set} }` : `  ${set}`;
    }),
  )
  .join('\n')}`;
  const { declarations, builtins, body, requires } = withReductions(text, lanes, capabilities);
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
    requires,
    body: `
${declarations}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32${builtins}) {
  let group = w.x;
  let groups = n.x;
${body}
}`,
    workgroups: (size) => [Math.min(size(rows), mostGroups), 1, 1],
  };
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
  const store = kept.map(
    (name, part) => `if (column / params.fours == ${part}u) { ${name}_set4(column % params.fours, sums[l]); }`,
  );
  return {
    label: 'normGradient.columns',
    buffers: [
      partial,
      ...kept.map((name): KernelBuffer => ({ name, output: by.indexOf(name), vector: 4, epilogue: true })),
    ],
    parameters: { rows: sizeOf(shape.slice(0, -1)), fours, columns },
    body: `
var<workgroup> sums: array<vec4<f32>, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let column = w.x * 4u + l % 4u;
  let groups = min(params.rows, ${mostGroups}u);
  let place = min(column, params.columns - 1u);
  var sum = vec4<f32>();
  for (var group = l / 4u; group < groups; group += 64u) { sum += partial_at4(group * params.columns + place); }
  sums[l] = sum;
${[32, 16, 8, 4, 2, 1]
  .map((half) => `  workgroupBarrier();\n  if (l < ${4 * half}u) { sums[l] += sums[l + ${4 * half}u]; }`)
  .join('\n')}
  if (l < 4u && column < params.columns) {
    ${store.join('\n    ')}
  }
}`,
    workgroups: () => [Math.ceil(columns / 4), 1, 1],
  };
}
