import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBody, KernelNames, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import type { CrossEntropyRowsAttributes } from './cross-entropy-rows.ts';
import { reduceRow, teamReductions } from './row-team.wgsl.ts';

const lanes = 256;

/**
 * A workgroup for a row, however long: once along it for the maximum and the sum of exponentials, both as they grow, and once
 * more for the gradient, when the row is still in the GPU's cache.
 */
export const crossEntropyRowsWebGpu = (gradient: boolean): WebGpuLowering<CrossEntropyRowsAttributes> => ({
  supports: ({ inputs: [logits] }) => logits!.dtype === 'f32',
  kernels({ inputs: [logits, targets], attributes, capabilities }) {
    const { ignoreIndex, labelSmoothing } = attributes;
    const classes = logits!.shape[1]!;
    const inFours = typeof classes === 'number' && classes % 4 === 0;
    const [type, ones] = inFours ? ['vec4<f32>', 'vec4<f32>(1.0)'] : ['f32', '1.0'];
    const sum = (x: string) => (inFours ? `dot(${x}, ${ones})` : x);
    const highest = inFours ? 'max(max(x.x, x.y), max(x.z, x.w))' : 'x';
    const places = inFours ? '(vec4<u32>(4u * k) + vec4<u32>(0u, 1u, 2u, 3u)) == vec4<u32>(own)' : 'k == own';
    const team = teamReductions(['row_sum', 'row_max'], lanes, capabilities);
    const write = (names: KernelNames): KernelBody => {
      const { at, at4, set, set4, size } = names;
      const reduce = (name: 'row_sum' | 'row_max', value: string) => reduceRow(name, value, names, capabilities);
      const { prelude } = names;
      const exponential = inFours ? prelude.safe_exp4 : prelude.safe_exp;
      const each = `for (var k = l; k < ${size.columns}; k += ${lanes}u)`;
      const spread = labelSmoothing === 0 ? undefined : `f32(${labelSmoothing}) / f32(${size.classes})`;
      const main = `  let place = (w.z * n.y + w.y) * n.x + w.x;
  let row = min(place, ${size.rows} - 1u);
  let named = ${at.targets}(row);
  let own = u32(clamp(named, 0, i32(${size.classes}) - 1));
  let counts = named != ${ignoreIndex}i;
  let is_class = named == i32(own);
  var high = -3.40282346e38;
  var total = 0.0;
  var plain = 0.0;
  ${each} {
    let x = ${inFours ? at4.x : at.x}(row * ${size.columns} + k);
    let top = max(high, ${highest});
    total = total * exp(high - top) + ${sum(`${exponential}(x - top)`)};
    high = top;${spread ? `\n    plain += ${sum('x')};` : ''}
  }
  let most = ${reduce('row_max', 'high')};
  let all = ${reduce('row_sum', 'total * exp(high - most)')};
  ${spread ? `let values = ${reduce('row_sum', 'plain')};` : ''}
  if (place < ${size.rows}) {
    if (l == 0u) {
      let own_logit = ${at.x}(row * ${size.classes} + own) - most;
      let expected = ${spread ? `f32(${1 - labelSmoothing}) * own_logit + (values - most * f32(${size.classes})) * ${spread}` : 'own_logit'};
      ${set.losses}(row, select(0.0, select(${prelude.nan_value}(), ${prelude.safe_log}(all) - expected, is_class), counts));
    }
    ${
      gradient
        ? `let inverse = 1.0 / all;
    ${each} {
      let x = ${inFours ? at4.x : at.x}(row * ${size.columns} + k);
      let wanted = select(${type}(), ${type}(${1 - labelSmoothing}), ${places})${spread ? ` + ${spread}` : ''};
      let value = ${exponential}(x - most) * inverse - wanted;
      ${inFours ? set4.y : set.y}(row * ${size.columns} + k, select(${type}(), select(${type}(${prelude.nan_value}()), value, is_class), counts));
    }`
        : ''
    }
  }`;
      return { functions: team.functions(names), main };
    };
    const rows = targets!.shape[0]!;
    const vector = inFours ? 4 : 1;
    return [
      {
        label: gradient ? 'crossEntropyRows.gradient' : 'crossEntropyRows',
        buffers: [
          { name: 'x', input: 0, vector },
          { name: 'targets', input: 1 },
          { name: 'losses', output: 0 },
          ...(gradient ? [{ name: 'y', output: 1, vector } as const] : []),
        ],
        parameters: { rows, classes, columns: inFours ? (classes as number) / 4 : classes },
        threads: lanes,
        workgroup: team.workgroup,
        builtins: team.builtins,
        requires: team.requires,
        write,
        workgroups: (size) => spreadWorkgroups(size(rows)),
      },
    ];
  },
});
