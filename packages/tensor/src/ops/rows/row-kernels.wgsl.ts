import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBuffer, KernelCall, KernelContext, KernelNames } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { lanesOf, type RowFour, type RowReduction, reduceRow, rowTeam, teamReductions } from './row-team.wgsl.ts';

/** What is computed of each row of the innermost axis, whose values stay in registers between the passes. */
export interface RowKernel {
  readonly label: string;
  /** Inputs that have rows come first, then vectors `[E]` that all rows share; the output `y` has rows. */
  readonly buffers: readonly KernelBuffer[];
  /** Names of the buffers whose rows are loaded, and what stands for values beyond the end of a row. */
  readonly rows: Readonly<Record<string, string>>;
  /** What `body` combines over a row. */
  readonly reductions: readonly RowReduction[];
  /** WGSL after a row is loaded: of the buffer `x` the invocation's fours are `x0`, `x1`, ... Gives `y0`, `y1`, ... */
  body(row: RowText): string;
}

/** What the text of a row is written with. */
export interface RowText {
  readonly fours: readonly RowFour[];
  readonly names: KernelNames;
  /** A number over the row's invocations, as an expression. */
  reduce(reduction: RowReduction, value: string): string;
}

/** One workgroup a row: each value is read once and written once. */
export function rowKernel<A>({ inputs, capabilities }: KernelContext<A>, kernel: RowKernel): KernelCall {
  const { shape } = inputs[0]!;
  const width = shape.at(-1) as number;
  const rows = sizeOf(shape.slice(0, -1));
  const threads = lanesOf(width, capabilities.maxInvocations);
  const { functions, ...team } = teamReductions(kernel.reductions, threads, capabilities);
  return {
    label: kernel.label,
    buffers: kernel.buffers,
    parameters: { rows, fours: width / 4, width },
    ignoresExtraWorkgroups: true,
    threads,
    ...team,
    write: (names) => {
      const { fours } = rowTeam(width, capabilities, names);
      const loads = Object.entries(kernel.rows).flatMap(([name, beyond]) =>
        fours.map((four) => loadFour(name, four, names, beyond)),
      );
      const reduce: RowText['reduce'] = (name, value) => reduceRow(name, value, names, capabilities);
      return {
        functions: functions(names),
        main: `  let row = (w.z * n.y + w.y) * n.x + w.x;
  if (row >= ${names.size.rows}) { return; }
${loads.join('\n')}
${kernel.body({ fours, names, reduce })}
${fours.map((four) => storeFour('y', four, names)).join('\n')}`,
      };
    },
    workgroups: (size) => spreadWorkgroups(size(rows)),
  };
}

/** Loads a four of `row` of the buffer `name`. */
export function loadFour(
  name: string,
  { index, at, valid }: RowFour,
  { at4, size }: KernelNames,
  beyond = '0.0',
): string {
  const read = `${at4[name]}(row * ${size.fours} + ${at})`;
  return `  let ${name}${index} = ${valid ? `select(vec4<f32>(${beyond}), ${read}, ${valid})` : read};`;
}

/** Stores `NAME0`, `NAME1`, ... as a four of `row` of the buffer `name`. */
export function storeFour(name: string, { index, at, valid }: RowFour, { set4, size }: KernelNames): string {
  const text = `${set4[name]}(row * ${size.fours} + ${at}, ${name}${index});`;
  return valid ? `    if (${valid}) { ${text} }` : `    ${text}`;
}

/** The sum over the fours of an invocation of a number of each. */
export const sumOfFours = (fours: readonly RowFour[], of: (i: number) => string): string =>
  fours.map(({ index }) => of(index)).join(' + ');
