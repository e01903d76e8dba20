/** What WebGPU allows along each dimension of a dispatch, on every adapter. */
export const maxWorkgroupsPerDimension = 65_535;

/**
 * Lays `count` workgroups out so that no dimension is over the limit. A few too many may come: the kernel finds its number as
 * `(w.z * n.y + w.y) * n.x + w.x` of `workgroup_id` w and `num_workgroups` n, and passes over numbers from `count` on.
 */
export function spreadWorkgroups(count: number): [number, number, number] {
  const limit = maxWorkgroupsPerDimension;
  if (count <= limit) return [count, 1, 1];
  const y = Math.ceil(count / limit);
  if (y <= limit) return [Math.ceil(count / y), y, 1];
  const z = Math.ceil(y / limit);
  const rows = Math.ceil(y / z);
  return [Math.ceil(count / (rows * z)), rows, z];
}
