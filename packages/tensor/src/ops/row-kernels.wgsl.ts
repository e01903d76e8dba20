import type { KernelBuffer, KernelCall, KernelContext, WebGpuCapabilities } from '../executors/webgpu/lowering.ts';
import { spreadWorkgroups } from '../executors/webgpu/workgroups.ts';
import type { TensorType } from '../shape.ts';
import { sizeOf } from '../shape.ts';

/** Fours of a row that an invocation keeps in registers at most. */
const mostFours = 8;

/** What is computed of each row of the innermost axis, whose values stay in registers between the passes. */
export interface RowKernel {
  readonly label: string;
  /** Inputs: the rows first, then vectors `[E]` that all rows share. */
  readonly buffers: readonly KernelBuffer[];
  /**
   * WGSL after the row is loaded: `x0`, `x1`, ... are its fours of this invocation, `row_sum(v)` and `row_max(v)` combine a
   * number over the row's invocations. Gives `y0`, `y1`, ...
   */
  body(fours: readonly RowFour[]): string;
  /** What stands for values beyond the end of a row. */
  readonly beyond: string;
}

/** One of the fours of a row that an invocation has. */
export interface RowFour {
  readonly index: number;
  /** Which four of the row it is, in range. */
  readonly at: string;
  /** Whether it is one of the row; undefined where it always is. */
  readonly valid: string | undefined;
}

/** Whether rows fit: a whole number of fours, few enough for one workgroup's registers. */
export function fitsRowKernel(x: TensorType, { maxInvocations }: WebGpuCapabilities): boolean {
  const width = x.shape.at(-1);
  return (
    typeof width === 'number' && width > 0 && width % 4 === 0 && width / 4 <= mostFours * lanesOf(width, maxInvocations)
  );
}

function lanesOf(width: number, maxInvocations: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(32, width / 4)));
  return Math.min(256, maxInvocations, wanted);
}

/** One workgroup a row: each value is read once and written once. */
export function rowKernel<A>({ inputs, capabilities }: KernelContext<A>, kernel: RowKernel): KernelCall {
  const { shape } = inputs[0]!;
  const width = shape.at(-1) as number;
  const rows = sizeOf(shape.slice(0, -1));
  const lanes = lanesOf(width, capabilities.maxInvocations);
  const count = Math.ceil(width / 4 / lanes);
  // only the last four of an invocation can be beyond the end
  const fours = Array.from({ length: count }, (_, index): RowFour => {
    const place = `(l + ${index * lanes}u)`;
    if ((index + 1) * lanes <= width / 4) return { index, at: place, valid: undefined };
    return { index, at: `min(${place}, params.fours - 1u)`, valid: `${place} < params.fours` };
  });
  const { declarations, builtins, arguments: team } = teamReductions(lanes, capabilities);
  const load = ({ index, at, valid }: RowFour) => {
    const read = `x_at4(row * params.fours + ${at})`;
    return `  let x${index} = ${valid ? `select(vec4<f32>(${kernel.beyond}), ${read}, ${valid})` : read};`;
  };
  const store = ({ index, at, valid }: RowFour) => {
    const text = `y_set4(row * params.fours + ${at}, y${index});`;
    return valid ? `    if (${valid}) { ${text} }` : `    ${text}`;
  };
  return {
    label: kernel.label,
    buffers: kernel.buffers,
    parameters: { rows, fours: width / 4, width },
    ...(capabilities.subgroupId ? { requires: ['subgroups'] } : {}),
    body: `
${declarations}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32${builtins}) {
  let place = (w.z * n.y + w.y) * n.x + w.x;
  let row = min(place, params.rows - 1u);
${fours.map(load).join('\n')}
${kernel.body(fours).replaceAll('row_sum(', `row_sum(${team}, `).replaceAll('row_max(', `row_max(${team}, `)}
  if (place < params.rows) {
${fours.map(store).join('\n')}
  }
}`,
    workgroups: (size) => spreadWorkgroups(size(rows)),
  };
}

/** `row_sum(team..., v)` and `row_max(team..., v)`: a number combined over all invocations of a workgroup, given to each. */
function teamReductions(lanes: number, { subgroupId }: WebGpuCapabilities) {
  const combine = (name: string, within: string, two: (a: string, b: string) => string) =>
    subgroupId
      ? `fn row_${name}(team: u32, teams: u32, v: f32) -> f32 {
  let own = ${within}(v);
  workgroupBarrier();
  parts[team] = own;
  workgroupBarrier();
  var all = parts[0];
  for (var i = 1u; i < teams; i++) { all = ${two('all', 'parts[i]')}; }
  return all;
}`
      : `fn row_${name}(l: u32, v: f32) -> f32 {
  workgroupBarrier();
  parts[l] = v;
${Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1))
  .map(
    (half) => `  workgroupBarrier();
  if (l < ${half}u) { parts[l] = ${two('parts[l]', `parts[l + ${half}u]`)}; }`,
  )
  .join('\n')}
  workgroupBarrier();
  return parts[0];
}`;
  return {
    declarations: [
      `var<workgroup> parts: array<f32, ${lanes}>;`,
      combine('sum', 'subgroupAdd', (a, b) => `${a} + ${b}`),
      combine('max', 'subgroupMax', (a, b) => `max(${a}, ${b})`),
    ].join('\n'),
    builtins: subgroupId ? ', @builtin(subgroup_id) team: u32, @builtin(num_subgroups) teams: u32' : '',
    arguments: subgroupId ? 'team, teams' : 'l',
  };
}
