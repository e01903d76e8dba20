import type { KernelBody, KernelBuiltin, PreludeFunction, WorkgroupArray } from '../../../graph/webgpu-lowering.ts';
import type { ShareableKernel } from '../values.ts';
import { builtinTypes, type KernelEntry } from './kernel-source.ts';
import { type BufferUses, GivenNames } from './names.ts';

/** A kernel that becomes a part of another one. */
export interface KernelPart {
  readonly kernel: Pick<ShareableKernel, 'entry' | 'workgroup' | 'write'>;
  /** Names of its buffers and sizes, as the other kernel calls them. */
  readonly buffers: ReadonlyMap<string, string>;
  readonly sizes: ReadonlyMap<string, string>;
}

/** Several kernels as one. */
export interface SharedKernel {
  readonly entry: KernelEntry;
  readonly workgroup: Readonly<Record<string, WorkgroupArray>>;
  readonly body: KernelBody;
  readonly used: BufferUses;
  readonly asked: ReadonlySet<PreludeFunction>;
}

const bytesOf: Readonly<Record<WorkgroupArray['type'], number>> = {
  f32: 4,
  i32: 4,
  u32: 4,
  'vec2<f32>': 8,
  'vec2<u32>': 8,
  'vec4<f32>': 16,
  'vec4<u32>': 16,
  'atomic<i32>': 4,
  'atomic<u32>': 4,
};

/** Bytes of memory that the invocations of a workgroup share. */
export function workgroupBytes(workgroup: ShareableKernel['workgroup']): number {
  return Object.values(workgroup).reduce((sum, { type, length }) => sum + (length ?? 1) * bytesOf[type], 0);
}

/**
 * A kernel that is several others of as many threads: workgroups at z are those of part z, which sees only its own. Memory of
 * a workgroup is shared, as a workgroup is of one part.
 */
export function sharedKernel(parts: readonly KernelPart[]): SharedKernel {
  const memory = new WorkgroupMemory();
  const used = new Map<string, Set<'at' | 'at2' | 'at4' | 'set' | 'set2' | 'set4' | 'array'>>();
  const asked = new Set<PreludeFunction>();
  const builtins = new Map<KernelBuiltin, string>();
  const texts = parts.map(({ kernel, buffers, sizes }, i) => {
    const shared = memory.place(kernel.workgroup, `part${i}_`);
    const own = (name: string) => `part${i}_${name}`;
    const names = new GivenNames({
      buffer: (name) => buffers.get(name)!,
      size: (name) => `params.${sizes.get(name)}`,
      shared: (name) => shared.get(name)!,
      own,
    });
    const { functions, main } = kernel.write(names);
    for (const [buffer, uses] of names.used) used.set(buffer, new Set([...(used.get(buffer) ?? []), ...uses]));
    for (const name of names.asked) asked.add(name);
    const taken = Object.entries(kernel.entry.builtins);
    for (const [, builtin] of taken) builtins.set(builtin, builtin);
    const parameters = taken.map(([name, builtin]) => `${name}: ${builtinTypes[builtin]}`).join(', ');
    return [...(functions ? [functions] : []), `fn ${own('main')}(${parameters}) {\n${main}\n}`].join('\n');
  });
  for (const builtin of ['workgroup_id', 'num_workgroups'] as const) builtins.set(builtin, builtin);
  const calls = parts.map(({ kernel }, i) => {
    const values = Object.values(kernel.entry.builtins).map((builtin) => given[builtin] ?? builtin);
    return `  if (workgroup_id.z == ${i}u) { part${i}_main(${values.join(', ')}); }`;
  });
  return {
    entry: {
      threads: parts[0]!.kernel.entry.threads,
      builtins: Object.fromEntries([...builtins].map(([b, name]) => [name, b])),
    },
    workgroup: memory.arrays,
    body: { functions: texts.join('\n'), main: calls.join('\n') },
    used,
    asked,
  };
}

/** Built-in values as a part sees them, where these are others than those of the whole. */
const given: Readonly<Partial<Record<KernelBuiltin, string>>> = {
  workgroup_id: 'vec3<u32>(workgroup_id.xy, 0u)',
  num_workgroups: 'vec3<u32>(num_workgroups.xy, 1u)',
};

/** The arrays of several parts: one for those of one type and length. */
class WorkgroupMemory {
  readonly arrays: Record<string, WorkgroupArray> = {};

  /** What the arrays of a part are called. */
  place(workgroup: Readonly<Record<string, WorkgroupArray>>, prefix: string): ReadonlyMap<string, string> {
    const taken = new Set<string>();
    return new Map(
      Object.entries(workgroup).map(([name, memory]) => {
        const { type, length } = memory;
        const free = Object.entries(this.arrays).find(
          ([other, array]) => !taken.has(other) && array.type === type && array.length === length,
        );
        const place = free?.[0] ?? prefix + name;
        this.arrays[place] = memory;
        taken.add(place);
        return [name, place];
      }),
    );
  }
}
