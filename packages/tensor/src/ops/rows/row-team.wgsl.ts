import type { KernelBuiltin, KernelNames, WebGpuCapabilities, WorkgroupArray } from '../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../shape.ts';

/** Fours of a row that an invocation keeps in registers at most. */
const maxFours = 8;

/** One of the fours of a row that an invocation has. */
export interface RowFour {
  readonly index: number;
  /** Which four of the row it is, in range. */
  readonly at: string;
  /** Whether it is one of the row; undefined where it always is. */
  readonly valid: string | undefined;
}

/** A workgroup that has a row in its registers. */
export interface RowTeam {
  readonly lanes: number;
  readonly fours: readonly RowFour[];
}

/** Whether rows fit: a whole number of fours, few enough for one workgroup's registers. */
export function fitsRowTeam(x: TensorType, { maxInvocations }: WebGpuCapabilities): boolean {
  const width = x.shape.at(-1);
  return (
    typeof width === 'number' && width > 0 && width % 4 === 0 && width / 4 <= maxFours * lanesOf(width, maxInvocations)
  );
}

export function lanesOf(width: number, maxInvocations: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(32, width / 4)));
  return Math.min(256, maxInvocations, wanted);
}

/** The team for rows of `width`; its text names the invocation `l` and the row's fours by the size `fours`. */
export function rowTeam(width: number, { maxInvocations }: WebGpuCapabilities, { size }: KernelNames): RowTeam {
  const lanes = lanesOf(width, maxInvocations);
  // only the last four of an invocation can be beyond the end
  const fours = Array.from({ length: Math.ceil(width / 4 / lanes) }, (_, index): RowFour => {
    const place = `(l + ${index * lanes}u)`;
    if ((index + 1) * lanes <= width / 4) return { index, at: place, valid: undefined };
    return { index, at: `min(${place}, ${size.fours} - 1u)`, valid: `${place} < ${size.fours}` };
  });
  return { lanes, fours };
}

/** What combines numbers over a team. Values of pairs are `vec2<f32>`. */
export type RowReduction = 'row_sum' | 'row_max' | 'row_sum2';

const combine = {
  row_sum: { type: 'f32', within: 'subgroupAdd', two: (a: string, b: string) => `${a} + ${b}` },
  row_sum2: { type: 'vec2<f32>', within: 'subgroupAdd', two: (a: string, b: string) => `${a} + ${b}` },
  row_max: { type: 'f32', within: 'subgroupMax', two: (a: string, b: string) => `max(${a}, ${b})` },
} as const;

/** What a kernel has for its reductions over a team. */
interface TeamReductions {
  readonly workgroup: Readonly<Record<string, WorkgroupArray>>;
  readonly builtins: Readonly<Record<string, KernelBuiltin>>;
  readonly requires: readonly string[];
  /** The functions in WGSL. */
  functions(names: KernelNames): string;
}

/** The reductions that a kernel of `lanes` invocations uses. */
export function teamReductions(
  used: readonly RowReduction[],
  lanes: number,
  { subgroupId }: WebGpuCapabilities,
): TeamReductions {
  const arrays = used.map((name) => [`${name}_parts`, { type: combine[name].type, length: lanes }] as const);
  return {
    workgroup: Object.fromEntries(arrays),
    builtins: {
      w: 'workgroup_id',
      n: 'num_workgroups',
      l: 'local_invocation_index',
      ...(subgroupId && { team: 'subgroup_id', teams: 'num_subgroups' }),
    },
    requires: subgroupId ? ['subgroups'] : [],
    functions: (names) => used.map((name) => reduction(name, lanes, subgroupId, names)).join('\n'),
  };
}

/** A call of a reduction: `value` over the team, given to each of it. */
export const reduceRow = (
  name: RowReduction,
  value: string,
  { own }: KernelNames,
  { subgroupId }: WebGpuCapabilities,
): string => `${own[name]}(${subgroupId ? 'team, teams' : 'l'}, ${value})`;

function reduction(name: RowReduction, lanes: number, subgroupId: boolean, { own, shared }: KernelNames): string {
  const { type, within, two } = combine[name];
  const parts = shared[`${name}_parts`];
  if (subgroupId)
    return `fn ${own[name]}(team: u32, teams: u32, v: ${type}) -> ${type} {
  let own = ${within}(v);
  workgroupBarrier();
  ${parts}[team] = own;
  workgroupBarrier();
  var all = ${parts}[0];
  for (var i = 1u; i < teams; i++) { all = ${two('all', `${parts}[i]`)}; }
  return all;
}`;
  const halves = Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1)).map(
    (half) => `  workgroupBarrier();
  if (l < ${half}u) { ${parts}[l] = ${two(`${parts}[l]`, `${parts}[l + ${half}u]`)}; }`,
  );
  return `fn ${own[name]}(l: u32, v: ${type}) -> ${type} {
  workgroupBarrier();
  ${parts}[l] = v;
${halves.join('\n')}
  workgroupBarrier();
  return ${parts}[0];
}`;
}
