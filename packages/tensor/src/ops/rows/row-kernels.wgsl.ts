import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBuffer, KernelCall, KernelContext } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { type RowFour, rowTeam, withReductions } from './row-team.wgsl.ts';

/** What is computed of each row of the innermost axis, whose values stay in registers between the passes. */
export interface RowKernel {
  readonly label: string;
  /** Inputs that have rows come first, then vectors `[E]` that all rows share; the output `y` has rows. */
  readonly buffers: readonly KernelBuffer[];
  /** Names of the buffers whose rows are loaded, and what stands for values beyond the end of a row. */
  readonly rows: Readonly<Record<string, string>>;
  /**
   * WGSL after a row is loaded: of the buffer `x` the invocation's fours are `x0`, `x1`, ...; `row_sum(v)` and `row_max(v)`
   * combine a number over the row's invocations. Gives `y0`, `y1`, ...
   */
  body(fours: readonly RowFour[]): string;
}

/** One workgroup a row: each value is read once and written once. */
export function rowKernel<A>({ inputs, capabilities }: KernelContext<A>, kernel: RowKernel): KernelCall {
  const { shape } = inputs[0]!;
  const width = shape.at(-1) as number;
  const rows = sizeOf(shape.slice(0, -1));
  const { lanes, fours } = rowTeam(width, capabilities);
  const loads = Object.entries(kernel.rows).flatMap(([name, beyond]) =>
    fours.map((four) => loadFour(name, four, beyond)),
  );
  const { declarations, builtins, body, requires } = withReductions(kernel.body(fours), lanes, capabilities);
  return {
    label: kernel.label,
    buffers: kernel.buffers,
    parameters: { rows, fours: width / 4, width },
    requires,
    ignoresExtraWorkgroups: true,
    body: `
${declarations}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32${builtins}) {
  let row = (w.z * n.y + w.y) * n.x + w.x;
  if (row >= params.rows) { return; }
${loads.join('\n')}
${body}
${fours.map((four) => storeFour('y', four)).join('\n')}
}`,
    workgroups: (size) => spreadWorkgroups(size(rows)),
  };
}

/** Loads a four of `row` of the buffer `name`. */
export function loadFour(name: string, { index, at, valid }: RowFour, beyond = '0.0'): string {
  const read = `${name}_at4(row * params.fours + ${at})`;
  return `  let ${name}${index} = ${valid ? `select(vec4<f32>(${beyond}), ${read}, ${valid})` : read};`;
}

/** Stores `NAME0`, `NAME1`, ... as a four of `row` of the buffer `name`. */
export function storeFour(name: string, { index, at, valid }: RowFour): string {
  const text = `${name}_set4(row * params.fours + ${at}, ${name}${index});`;
  return valid ? `    if (${valid}) { ${text} }` : `    ${text}`;
}

/** The sum over the fours of an invocation of a number of each. */
export const sumOfFours = (fours: readonly RowFour[], of: (i: number) => string): string =>
  fours.map(({ index }) => of(index)).join(' + ');
