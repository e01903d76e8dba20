import { type KernelBuiltin, spreadWorkgroups } from '@heddle/tensor';

/** What a kernel of `gridPlace` takes; `local` is the invocation. */
export const gridBuiltins: Readonly<Record<string, KernelBuiltin>> = {
  grid_place: 'workgroup_id',
  grid_size: 'num_workgroups',
  local: 'local_invocation_index',
};
/** Likewise, with the places of subgroups. */
export const subgroupBuiltins: Readonly<Record<string, KernelBuiltin>> = {
  ...gridBuiltins,
  subgroup: 'subgroup_id',
  lane: 'subgroup_invocation_id',
};

/**
 * Statements that give a workgroup its place, `w`: tile `w.x` of `tiles`, head `w.y` of `heads`, sequence `w.z`. A dimension of a
 * dispatch has at most 65,535 workgroups, so they are counted over all three, and those too many end here.
 */
export const gridPlace = (tiles: string, heads: string | number, batches: string): string => {
  const H = typeof heads === 'number' ? `${heads}u` : heads;
  return `let number = (grid_place.z * grid_size.y + grid_place.y) * grid_size.x + grid_place.x;
  let tiles = ${tiles};
  if (number >= tiles * ${H} * ${batches}) { return; }
  let w = vec3<u32>(number % tiles, number / tiles % ${H}, number / (tiles * ${H}));`;
};

/** The workgroups of such a kernel. */
export const gridOf = (tiles: number, heads: number, batches: number): [number, number, number] =>
  spreadWorkgroups(tiles * heads * batches);
