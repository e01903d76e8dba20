import type { KernelNames } from '@heddle/tensor';
import { loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { f32, lowest } from '../../tiles/score.wgsl.ts';
import type { PackedAttributes } from '../attributes.ts';
import { type LaneLayout, lines } from './lane-layout.ts';

/**
 * A lane's fours of the queries, scaled for powers of 2 unless there are score functions (`rescored`), and an empty softmax for each
 * head.
 */
export function beginLanes(
  names: KernelNames,
  { scale, softcap }: PackedAttributes,
  { D, width, fours, column, guard }: LaneLayout,
  rescored: boolean,
): string {
  const unit = rescored ? '' : ` * ${softcap === undefined ? f32(scale * Math.LOG2E) : f32(scale)}`;
  const query = (g: number, f: number) =>
    `q${g}_${f} = ${loadHead4(names, 'q', `row * H + min(head_first + ${g}u, head_end - 1u)`, column(f), D)}${unit};`;
  return `${lines(width, (g) => fours.map((f) => `var q${g}_${f} = vec4<f32>();${guard(f) ? `\n  if (true${guard(f)}) {` : ''} ${query(g, f)}${guard(f) ? ' }' : ''}`).join('\n'))}
  ${lines(width, (g) => `var top${g} = ${lowest}; var total${g} = 0.0; ${fours.map((f) => `var sum${g}_${f} = vec4<f32>();`).join(' ')}`)}`;
}

/** Joins what the groups of lanes have: into the result, or into `parts` as a part of it. */
export function joinLanes(names: KernelNames, layout: LaneLayout, intoParts: boolean, rescored: boolean): string {
  const { set4, shared, size } = names;
  const { D, width, groups, threads, fours, column, guard } = layout;
  const D4 = D / 4;
  const write = intoParts
    ? `let at = ((w.z * ${size.T} + row) * H + head_first + g) * ${D4 + 1}u;
      ${set4.parts}(at + c, value);
      if (c == 0u) { ${set4.parts}(at + ${D4}u, vec4<f32>(top${rescored ? '' : ` * ${f32(Math.LN2)}`}, total, 0.0, 0.0)); }`
    : `value = value * select(0.0, 1.0 / total, total > 0.0);
      ${storeHead4(names, 'out', 'row * H + head_first + g', 'c', 'value', D)}`;
  const sum = (g: number, f: number) =>
    `${shared.sums}[(group * ${width}u + ${g}u) * ${D4}u + ${column(f)}] = sum${g}_${f};`;
  return `${lines(
    width,
    (
      g,
    ) => `if (lane == 0u) { ${shared.tops}[group * ${width}u + ${g}u] = top${g}; ${shared.totals}[group * ${width}u + ${g}u] = total${g}; }
  ${fours.map((f) => `${guard(f) ? `if (true${guard(f)}) { ` : ''}${sum(g, f)}${guard(f) ? ' }' : ''}`).join('\n  ')}`,
  )}
  workgroupBarrier();
  for (var i = local; i < ${width * D4}u; i += ${threads}u) {
    let g = i / ${D4}u;
    let c = i % ${D4}u;
    if (head_first + g < head_end) {
      var top = ${lowest};
      for (var j = 0u; j < ${groups}u; j++) { top = max(top, ${shared.tops}[j * ${width}u + g]); }
      var total = 0.0;
      var value = vec4<f32>();
      for (var j = 0u; j < ${groups}u; j++) {
        let weight = ${rescored ? 'exp' : 'exp2'}(${shared.tops}[j * ${width}u + g] - top);
        total += weight * ${shared.totals}[j * ${width}u + g];
        value += weight * ${shared.sums}[(j * ${width}u + g) * ${D4}u + c];
      }
      ${write}
    }
  }`;
}
