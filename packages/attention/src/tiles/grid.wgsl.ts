import { spreadWorkgroups } from '@heddle/tensor';

/** The builtins of a kernel of `gridPlace`, in its `main`. */
export const gridBuiltins =
  '@builtin(workgroup_id) grid_place: vec3<u32>, @builtin(num_workgroups) grid_size: vec3<u32>';

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
