import type { Plan } from './plan.ts';
import { boundOf } from './planning/buckets.ts';
import type { BufferValue } from './values.ts';

/** The kernels of a plan and its memory, as a table. */
export function explainPlan(plan: Plan): string {
  const { steps, memory, bucket } = plan;
  const names = new Map<BufferValue, string>();
  const nameOf = (value: BufferValue) => {
    const slot = memory.slotOf.get(value);
    if (value.kind === 'temporary') return `#${slot}`;
    if (value.kind === 'input' || value.kind === 'output') return `${value.kind} ${value.index}`;
    const known =
      names.get(value) ?? ('name' in value.tensor ? String(value.tensor.name) : `${value.kind} ${names.size}`);
    names.set(value, known);
    return known;
  };
  const describe = (value: BufferValue) => `${nameOf(value)} ${value.type.dtype}[${value.type.shape}]`;
  const bytes = (value: BufferValue) => plan.bytesOf(value.type);
  const rows = steps.map(({ label, bindings, workgroups }, i) => {
    const counts = workgroups((dim) => boundOf(dim, bucket));
    const of = (access: string) => bindings.filter((b) => b.access === access).map(({ value }) => value);
    return [
      String(i),
      label,
      counts.join('x'),
      of('write').map(describe).join(', '),
      of('read').map(describe).join(', '),
      String(bindings.reduce((sum, { value }) => sum + bytes(value), 0)),
    ];
  });
  const arena = memory.slots.reduce((sum, slot) => sum + slot, 0);
  return [
    `plan ${bucket.key || 'for fixed sizes'}: ${steps.length} kernels`,
    ...table([['', 'kernel', 'workgroups', 'writes', 'reads', 'bytes bound'], ...rows]),
    `activations: ${arena} bytes in ${memory.slots.length} buffers (${memory.sum} without reuse): ${memory.slots.map((slot, i) => `#${i} ${slot}`).join(', ')}`,
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
