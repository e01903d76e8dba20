import type { Dim } from '../../dim.ts';
import type { BufferUse, KernelReport, PlanMemory, PlanReport } from '../../report/plan-report.ts';
import type { Plan } from './plan.ts';
import { boundOf } from './planning/buckets.ts';
import { wholeBindings, workAt } from './planning/work.ts';
import type { BufferValue, Step } from './values.ts';

/** The kernels of a plan and its memory, at the largest sizes that it serves. */
export function reportPlan({ steps, memory: plan, bucket, bytesOf }: Plan, memory: PlanMemory): PlanReport {
  const size = (dim: Dim) => boundOf(dim, bucket);
  const names = new Map<BufferValue, string>();
  const nameOf = (value: BufferValue): string => {
    if (value.kind === 'input' || value.kind === 'output') return `${value.kind} ${value.index}`;
    if (value.kind === 'temporary') {
      const input = plan.inputOf.get(value);
      return input === undefined ? `#${plan.slotOf.get(value)}` : `input ${input}`;
    }
    const name =
      names.get(value) ?? ('name' in value.tensor ? String(value.tensor.name) : `${value.kind} ${names.size}`);
    names.set(value, name);
    return name;
  };
  const useOf = (value: BufferValue): BufferUse => ({
    name: nameOf(value),
    type: `${value.type.dtype}[${value.type.shape}]`,
    byteLength: bytesOf(value.type),
  });
  const usesOf = ({ bindings }: Step, of: 'read' | 'write') =>
    wholeBindings(bindings)
      .filter(({ access }) => access === of)
      .map(({ value }) => useOf(value));
  const kernels = steps.map(
    (step, i): KernelReport => ({
      kernel: step.label,
      workgroups: step.workgroups(size),
      writes: usesOf(step, 'write'),
      reads: usesOf(step, 'read'),
      ...workAt(step, size),
      live: plan.live[i]!,
    }),
  );
  return { sizes: bucket.key, kernels, memory };
}
