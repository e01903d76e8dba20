import type { Device, Tensor } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import type { KvView } from '../kernels/kv-view.ts';
import type { PackedCase } from './packed-case.ts';
import { scorePairs } from './score-pairs.ts';

/** A case as tensors of a device. */
export function packedTensors(
  device: Device,
  { sizes, data, spec, dtype, cached, valuesInKeys, functions }: PackedCase,
): { q: Tensor; k: Tensor; v: Tensor | undefined; kv: KvView | undefined; spec: AttendSpec } {
  const { T, H, K, D, V, B, N, blockSize } = sizes;
  const f32 = (list: readonly number[], shape: readonly number[]) => device.tensor(Float32Array.from(list), { shape });
  const ints = (list: readonly number[], shape: readonly number[]) => device.tensor(Int32Array.from(list), { shape });
  const slots = data.keys.length / (K * D);
  const cache = (list: readonly number[], width: number) =>
    device.tensor(Float64Array.from(list), { shape: [slots, K, width], dtype });
  return {
    q: f32(data.q, [T, H, D]),
    k: f32(data.k, [T, K, D]),
    v: valuesInKeys ? undefined : f32(data.v, [T, K, V]),
    kv: cached
      ? {
          keys: cache(data.keys, D),
          ...(valuesInKeys ? { valueDim: V } : { values: cache(data.values, V) }),
          ...(data.starts ? { starts: ints(data.starts, [B]) } : {}),
          ...(data.keyPositions ? { keyPositions: ints(data.keyPositions, [slots]) } : {}),
          blockTable: ints(data.blockTable, [B, N]),
          lengths: ints(data.lengths, [B]),
          blockSize,
          maxLength: N * blockSize,
        }
      : undefined,
    spec: {
      segments: ints(data.segments, [T]),
      positions: ints(data.positions, [T]),
      ...(data.sinks ? { sinks: f32(data.sinks, [H]) } : {}),
      ...(valuesInKeys ? { valueDim: V } : {}),
      ...(functions ? scorePairs[functions].ofTensors(device, sizes) : {}),
      ...spec,
    },
  };
}
