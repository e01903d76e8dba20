import type { Device, Tensor } from '@heddle/tensor';
import type { KvBatch, KvCache, KvStep } from './kv-cache.ts';

/** The cache for one step that is not compiled: its inputs as tensors of the device, which `dispose` frees. */
export function boundNow(
  device: Device,
  cache: KvCache,
  { inputs, sizes }: KvBatch,
): { readonly step: KvStep; readonly dispose: () => void } {
  const tensors = Object.entries(inputs).map(([name, value]): [string, Tensor] => {
    const { data, shape } =
      value instanceof Int32Array
        ? { data: value, shape: [value.length] }
        : (value as { readonly data: Int32Array; readonly shape: readonly number[] });
    return [name, device.tensor(data, { shape })];
  });
  return {
    step: cache.bind(Object.fromEntries(tensors), sizes),
    dispose: () => {
      for (const [, tensor] of tensors) tensor.dispose();
    },
  };
}
