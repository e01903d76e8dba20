import { checkArguments } from '../checks/check-arguments.ts';
import type { BufferUse, KernelTime, PlanReport } from './plan-report.ts';

/** The kernels of a plan, what they move and compute, and when how much memory is in use, as text. */
export function formatReport(report: PlanReport): string {
  checkArguments('formatReport', 'object', { report });
  const { sizes, kernels, memory } = report;
  checkArguments('formatReport', 'list', { kernels });
  checkArguments('formatReport', 'object', { memory });
  const most = Math.max(1, ...kernels.map(({ live }) => live));
  const uses = (list: readonly BufferUse[]) => list.map(({ name, type }) => `${name} ${type}`).join(', ');
  const rows = kernels.map(({ kernel, workgroups, writes, reads, bytes, flops, live }, i) => [
    String(i),
    kernel,
    workgroups.join('x'),
    uses(writes),
    uses(reads),
    formatBytes(bytes),
    flops === undefined ? '' : formatCount(flops),
    formatBytes(live),
    '#'.repeat(Math.round((12 * live) / most)),
  ]);
  const moved = kernels.reduce((sum, { bytes }) => sum + bytes, 0);
  const flops = kernels.reduce((sum, kernel) => sum + (kernel.flops ?? 0), 0);
  const { buffers } = memory;
  const shared = buffers.map((bytes, i) => `#${i} ${formatBytes(bytes)}`).join(', ');
  return [
    `plan ${sizes ? `for ${sizes}` : 'for fixed sizes'}: ${kernels.length} kernels, ${formatBytes(moved)} moved, ${formatCount(flops)} FLOP`,
    ...table([['', 'kernel', 'workgroups', 'writes', 'reads', 'moved', 'FLOP', 'live', ''], ...rows]),
    `memory: ${memory.total} bytes: activations ${memory.activations} (${memory.activationsWithoutReuse} without reuse), outputs ${memory.outputs}, inputs ${memory.inputs}, parameters ${memory.parameters}`,
    ...(buffers.length > 0 ? [`activations in ${buffers.length} buffers: ${shared}`] : []),
  ].join('\n');
}

/**
 * A table of what `profile` gives: kernels of one name together, longest first, with their share of the time and what they
 * moved and computed in a second. Compare GB/s with what the device copies, FLOP/s with its peak.
 */
export function formatProfile(times: readonly KernelTime[]): string {
  checkArguments('formatProfile', 'list', { times });
  const groups = new Map<string, { count: number; us: number; bytes: number; flops: number | undefined }>();
  for (const { kernel, microseconds, bytes, flops } of times) {
    const group = groups.get(kernel) ?? { count: 0, us: 0, bytes: 0, flops: 0 };
    group.count++;
    group.us += microseconds;
    group.bytes += bytes;
    group.flops = flops === undefined || group.flops === undefined ? undefined : group.flops + flops;
    groups.set(kernel, group);
  }
  const total = times.reduce((sum, { microseconds }) => sum + microseconds, 0);
  const sorted = [...groups].sort(([, a], [, b]) => b.us - a.us);
  const rate = (amount: number | undefined, us: number) => (amount === undefined || us === 0 ? undefined : amount / us);
  const rows = sorted.map(([kernel, { count, us, bytes, flops }]) => [
    kernel,
    String(count),
    us.toFixed(1),
    `${((100 * us) / (total || 1)).toFixed(1)}%`,
    formatBytes(bytes),
    rate(bytes / 1e3, us)?.toFixed(1) ?? '',
    flops === undefined ? '' : formatCount(flops),
    rate(flops && flops / 1e3, us)?.toFixed(1) ?? '',
  ]);
  return [
    `${times.length} kernels, ${total.toFixed(1)} us`,
    ...table([['kernel', 'times', 'us', 'share', 'moved', 'GB/s', 'FLOP', 'GFLOP/s'], ...rows]),
  ].join('\n');
}

/** Columns of equal width: text to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isNumber = rows[0]!.map((_, column) =>
    rows.slice(1).every((row) => /^[\d.]*( ?[kKMGTP]?(iB|B)?|%)$/.test(row[column]!)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (isNumber[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** `512 B`, `1.50 MiB`. */
function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes} B` : `${short(bytes / 1024 ** power)} ${units[power]}`;
}

/** `512`, `1.50 M`. */
function formatCount(count: number): string {
  const units = ['', ' k', ' M', ' G', ' T', ' P'];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return power === 0 ? String(count) : `${short(count / 1000 ** power)}${units[power]}`;
}

const short = (value: number) => (value < 99.95 ? value.toPrecision(3) : value.toFixed(0));
