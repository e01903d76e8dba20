import type { Tensor } from '../../../graph/tensor.ts';
import type { BufferOf } from '../codegen/kernel-builder.ts';
import type { BufferValue } from '../values.ts';
import type { Unit } from './units.ts';
import { groupsInPlace, type UpdateContext } from './update-groups.ts';

/**
 * The units that change variables, to run after all others. A read sees the value from before the run: whatever an update
 * reads of an updated variable must either be the variable's own place in the same kernel, or be in another buffer by then.
 *
 * Optimizer steps are the first case: the new parameter and its moments are computed in one kernel, in place.
 */
export function planUpdates(context: UpdateContext): { readonly before: Unit[]; readonly units: Unit[] } {
  const { graph, fusion } = context;
  const updated = new Set<Tensor>(graph.updates.map(({ variable }) => variable));
  const inPlace = groupsInPlace(context, updated);
  for (const update of graph.updates) {
    const { value, rows } = update;
    if (inPlace.has(update) || !fusion.isForUpdates(value)) continue;
    // the rows of a scatter are computed as they are written, unless that reads what is being updated
    if (!rows || [...fusion.leavesOf(value)].some((leaf) => updated.has(leaf))) fusion.store(value);
  }
  const before: Unit[] = [];
  const units: Unit[] = [];
  for (const update of graph.updates) {
    const { variable, value, rows } = update;
    const target = context.bufferOf(variable)!;
    const group = inPlace.get(update);
    if (group) {
      if (group[0] !== update) continue;
      const roots = group.map((u) => ({ tensor: u.value, target: context.bufferOf(u.variable)! }));
      units.push({ kind: 'pointwise', roots, bufferOf: context.bufferOf });
      continue;
    }
    const bufferOf = withSnapshots(rows ? [value, rows] : [value], updated, context, before);
    if (rows) units.push({ kind: 'scatter', value, rows, target, bufferOf });
    else units.push({ kind: 'pointwise', roots: [{ tensor: value, target }], bufferOf });
  }
  return { before, units };
}

/** Copies, ahead of all updates, those of `tensors` that are themselves variables about to change. */
function withSnapshots(
  tensors: readonly Tensor[],
  updated: ReadonlySet<Tensor>,
  { fusion, bufferOf }: UpdateContext,
  before: Unit[],
): BufferOf {
  const snapshots = new Map<Tensor, BufferValue>();
  for (const tensor of tensors) {
    const base = fusion.flow.base(tensor);
    if (!updated.has(base)) continue;
    const target: BufferValue = { kind: 'temporary', name: 'snapshot', type: base };
    before.push({ kind: 'pointwise', roots: [{ tensor: base, target }], bufferOf });
    snapshots.set(base, target);
  }
  return snapshots.size === 0 ? bufferOf : (tensor) => snapshots.get(fusion.flow.base(tensor)) ?? bufferOf(tensor);
}
