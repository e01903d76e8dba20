import { threefry2x32, uniformFromBits } from '@heddle/tensor';
import type { KvShape, KvStore, RowsStore } from '../kv-shape.ts';

/** A shape drawn at random, the same for the same seed: up to three layers of up to three stores, of rows in up to four
 * retentions and of states. */
export function drawShape(seed: number): KvShape {
  let count = 0;
  const draw = (below: number) => Math.floor(uniformFromBits(threefry2x32(seed, 1, count++, 0)) * below);
  const windows: Pick<RowsStore, 'window' | 'keepFirst'>[] = [
    {},
    { window: 3 },
    { window: 5, keepFirst: 2 },
    { window: 7 },
  ];
  const store = (): KvStore => ({
    kind: 'rows',
    shape: [1 + draw(2), 1 + draw(4)],
    dtype: draw(3) === 0 ? 'f16' : 'f32',
    ...windows[draw(windows.length)],
  });
  const state = (): KvStore => ({
    kind: 'state',
    shape: Array.from({ length: 1 + draw(3) }, () => 1 + draw(3)),
    dtype: draw(3) === 0 ? 'f16' : 'f32',
  });
  const layers = Array.from({ length: 1 + draw(3) }, (_, layer) => {
    const kinds: Record<string, KvStore>[] = [
      { keys: store(), values: store() },
      { latent: store() },
      { rows: store() },
      { state: state(), convolution: { ...store(), window: 4 } as RowsStore },
      { state: state() },
      {},
    ];
    return kinds[draw(layer === 0 ? 5 : 6)]!;
  });
  return { layers };
}
