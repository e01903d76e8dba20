import type { WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../shape.ts';

/** Fours of a row that an invocation keeps in registers at most. */
const mostFours = 8;

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
    typeof width === 'number' && width > 0 && width % 4 === 0 && width / 4 <= mostFours * lanesOf(width, maxInvocations)
  );
}

function lanesOf(width: number, maxInvocations: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(32, width / 4)));
  return Math.min(256, maxInvocations, wanted);
}

/** The team for rows of `width`; its text names the invocation `l` and the row's fours `params.fours`. */
export function rowTeam(width: number, { maxInvocations }: WebGpuCapabilities): RowTeam {
  const lanes = lanesOf(width, maxInvocations);
  // only the last four of an invocation can be beyond the end
  const fours = Array.from({ length: Math.ceil(width / 4 / lanes) }, (_, index): RowFour => {
    const place = `(l + ${index * lanes}u)`;
    if ((index + 1) * lanes <= width / 4) return { index, at: place, valid: undefined };
    return { index, at: `min(${place}, params.fours - 1u)`, valid: `${place} < params.fours` };
  });
  return { lanes, fours };
}

/** What combines numbers over a team. Values of pairs are `vec2<f32>`. */
type Reduction = 'row_sum' | 'row_max' | 'row_sum2';

const combine = {
  row_sum: { type: 'f32', within: 'subgroupAdd', two: (a: string, b: string) => `${a} + ${b}` },
  row_sum2: { type: 'vec2<f32>', within: 'subgroupAdd', two: (a: string, b: string) => `${a} + ${b}` },
  row_max: { type: 'f32', within: 'subgroupMax', two: (a: string, b: string) => `max(${a}, ${b})` },
} as const;

/** The text of a kernel whose body calls `row_sum(v)`, `row_sum2(v)` or `row_max(v)`: v over the team, given to each of it. */
export function withReductions(
  body: string,
  lanes: number,
  { subgroupId }: WebGpuCapabilities,
): { readonly declarations: string; readonly builtins: string; readonly body: string; readonly requires: string[] } {
  const called = (Object.keys(combine) as Reduction[]).filter((name) => body.includes(`${name}(`));
  const team = subgroupId ? 'team, teams' : 'l';
  return {
    declarations: called.map((name) => reduction(name, lanes, subgroupId)).join('\n'),
    builtins: subgroupId ? ', @builtin(subgroup_id) team: u32, @builtin(num_subgroups) teams: u32' : '',
    body: called.reduce((text, name) => text.replaceAll(`${name}(`, `${name}(${team}, `), body),
    requires: subgroupId ? ['subgroups'] : [],
  };
}

function reduction(name: Reduction, lanes: number, subgroupId: boolean): string {
  const { type, within, two } = combine[name];
  const parts = `${name}_parts`;
  if (subgroupId)
    return `var<workgroup> ${parts}: array<${type}, ${lanes}>;
fn ${name}(team: u32, teams: u32, v: ${type}) -> ${type} {
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
  return `var<workgroup> ${parts}: array<${type}, ${lanes}>;
fn ${name}(l: u32, v: ${type}) -> ${type} {
  workgroupBarrier();
  ${parts}[l] = v;
${halves.join('\n')}
  workgroupBarrier();
  return ${parts}[0];
}`;
}
