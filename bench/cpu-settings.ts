import { spawnSync } from 'node:child_process';

const allocator = {
  MALLOC_MMAP_THRESHOLD_: '4294967296',
  MALLOC_TRIM_THRESHOLD_: '4294967296',
  MALLOC_TOP_PAD_: '268435456',
};

/** Starts the program anew with the allocator settings of the tensor package's README, unless it has them. */
export function withAllocatorSettings(): void {
  if (Object.entries(allocator).every(([name, value]) => process.env[name] === value)) return;
  const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, ...allocator },
  });
  process.exit(status ?? 1);
}

/** Values between -1 and 1, the same for the same seed. */
export function values(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Calls each contender in turn for some rounds of some calls; gives the milliseconds of each one's fastest call. */
export async function fastestOf<T>(
  contenders: readonly T[],
  call: (contender: T) => Promise<unknown>,
  { rounds, calls }: { readonly rounds: number; readonly calls: number },
): Promise<ReadonlyMap<T, number>> {
  const fastest = new Map<T, number>();
  for (let round = 0; round < rounds; round++)
    for (const contender of contenders)
      for (let i = 0; i < calls; i++) {
        const begin = performance.now();
        await call(contender);
        const ms = performance.now() - begin;
        fastest.set(contender, Math.min(fastest.get(contender) ?? Number.POSITIVE_INFINITY, ms));
      }
  return fastest;
}
