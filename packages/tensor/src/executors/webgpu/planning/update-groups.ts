import { type Dim, dimsEqual } from '../../../dim.ts';
import type { Graph } from '../../../graph/graph.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { Update } from '../../../graph/variable.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { shapesEqual, sizeOf } from '../../../shape.ts';
import type { BufferOf } from '../codegen/kernel-builder.ts';
import { pointwiseKernel } from '../codegen/pointwise.ts';
import type { Fusion } from './fusion.ts';

export interface UpdateContext {
  readonly graph: Graph;
  readonly fusion: Fusion;
  readonly bufferOf: BufferOf;
  readonly capabilities: WebGpuCapabilities;
  bound(dim: Dim): number;
}

/** Updates whose values one kernel can compute and write over the variables, by each update of the group. */
export function groupsInPlace(context: UpdateContext, updated: ReadonlySet<Tensor>): Map<Update, readonly Update[]> {
  const { graph, fusion } = context;
  const groups: (readonly Update[])[] = [];
  const once = graph.updates.filter((u) =>
    graph.updates.every((other) => other === u || other.variable !== u.variable),
  );
  const candidates = once.filter(({ value, rows }) => !rows && fusion.isForUpdates(value));
  const large = (leaf: Tensor, size: Dim) => size !== 1 && dimsEqual(sizeOf(leaf.shape), size);
  /** Groups that share what takes time to read; those that are too many for a kernel, by what they must have in common. */
  const attempts: readonly ((leaf: Tensor, size: Dim) => boolean)[] = [large, (leaf) => updated.has(leaf)];
  const place = (group: readonly Update[], attempt: number) => {
    if (fits(group, context, updated)) groups.push(group);
    else if (group.length > 1)
      for (const smaller of attempts[attempt] ? groupsOf(group, fusion, attempts[attempt]) : group.map((u) => [u]))
        place(smaller, attempt + 1);
  };
  for (const group of groupsOf(candidates, fusion, attempts[0]!)) place(group, 1);
  const wait = waitingTogether(fusion);
  const packed = pack(groups, (group, next) => wait(group, next) && fits([...group, ...next], context, updated));
  return new Map(packed.flatMap((group) => group.map((update) => [update, group] as const)));
}

/** Values of a variable up to which a dispatch of its own takes longer than the update. */
const smallUpdate = 1 << 18;
/**
 * Values of a variable up to which updates share a dispatch if nothing is held for longer by that: on an H200 a dispatch that
 * waits for another takes 4 us of its own. AdamW over the weights of GPT-2 124M takes 52 in place of 78, and 0.83 of the bandwidth
 * of a copy in place of 0.76.
 */
const largestShared = 1 << 22;

/** Joins groups of one shape as far as `together` allows. */
function pack(
  groups: readonly (readonly Update[])[],
  together: (group: readonly Update[], next: readonly Update[]) => boolean,
): (readonly Update[])[] {
  const packed: (readonly Update[])[] = [];
  const open = new Map<string, number>();
  for (const group of groups) {
    const { shape } = group[0]!.variable;
    const size = sizeOf(shape);
    const key = String(shape);
    const at = open.get(key);
    if (at !== undefined && together(packed[at]!, group)) packed[at] = [...packed[at]!, ...group];
    else {
      if (typeof size === 'number' && size <= largestShared) open.set(key, packed.length);
      packed.push(group);
    }
  }
  return packed;
}

/**
 * Whether two groups may be computed at once without holding what either reads for longer: they are small, or what one reads in its
 * size is needed by the other, too. An optimizer's step that clips by the norm of all gradients has them all until then.
 */
function waitingTogether(fusion: Fusion): (a: readonly Update[], b: readonly Update[]) => boolean {
  const { flow } = fusion;
  const found = new Map<Tensor, ReadonlySet<Tensor>>();
  /** All that a value is computed from, with itself. */
  const sourcesOf = (leaf: Tensor): ReadonlySet<Tensor> => {
    const known = found.get(leaf);
    if (known) return known;
    const sources = new Set([leaf]);
    for (const source of sources) // grows
      for (const input of flow.producer(source)?.inputs ?? []) sources.add(flow.base(input));
    found.set(leaf, sources);
    return sources;
  };
  const split = (group: readonly Update[]) => {
    const size = sizeOf(group[0]!.value.shape);
    const leaves = [...new Set(group.flatMap(({ value }) => [...fusion.leavesOf(value)]))];
    const isHeld = (leaf: Tensor) => flow.producer(leaf) !== undefined && dimsEqual(sizeOf(leaf.shape), size);
    return { held: leaves.filter(isHeld), others: leaves.filter((leaf) => !isHeld(leaf)) };
  };
  return (a, b) => {
    const size = sizeOf(a[0]!.value.shape);
    if (typeof size === 'number' && size <= smallUpdate) return true;
    const [first, second] = [split(a), split(b)];
    const needed = (leaf: Tensor, { held, others }: ReturnType<typeof split>) =>
      held.includes(leaf) || others.some((other) => sourcesOf(other).has(leaf));
    return first.held.every((leaf) => needed(leaf, second)) && second.held.every((leaf) => needed(leaf, first));
  };
}

/** Updates of one shape that read a tensor in common, of those that `counts`. */
function groupsOf(
  updates: readonly Update[],
  fusion: Fusion,
  counts: (leaf: Tensor, size: Dim) => boolean,
): Update[][] {
  const groups: { readonly members: Update[]; readonly reads: Set<Tensor> }[] = [];
  for (const update of updates) {
    const size = sizeOf(update.value.shape);
    const reads = new Set([...fusion.leavesOf(update.value)].filter((leaf) => counts(leaf, size)));
    const joined = groups.filter(
      ({ members, reads: theirs }) =>
        shapesEqual(members[0]!.value.shape, update.value.shape) && [...reads].some((leaf) => theirs.has(leaf)),
    );
    for (const group of joined) groups.splice(groups.indexOf(group), 1);
    groups.push({
      members: [...joined.flatMap(({ members }) => members), update],
      reads: new Set([...reads, ...joined.flatMap((group) => [...group.reads])]),
    });
  }
  return groups.map(({ members }) => members);
}

/** Whether one kernel can bind what a group reads and writes, and reads no updated variable at another place than it writes. */
function fits(group: readonly Update[], context: UpdateContext, updated: ReadonlySet<Tensor>): boolean {
  const { bufferOf, capabilities, bound } = context;
  const roots = group.map(({ value, variable }) => ({ tensor: value, target: bufferOf(variable)! }));
  const { step, readElsewhere } = pointwiseKernel({ label: 'update', roots, bufferOf, capabilities, bound });
  if (step.bindings.length > capabilities.maxStorageBuffers) return false;
  return step.bindings.every(({ value, access }) => {
    if (value.kind !== 'variable' || !updated.has(value.tensor)) return true;
    return access === 'write' && !readElsewhere.has(value);
  });
}
