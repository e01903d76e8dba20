// What tuning finds for products of common shapes on this adapter, against the choices that are taken without it.
//   node bench/dist/tune.js
import { compile, type Device, type Tensor } from '@heddle/tensor';
import { openWebGpu, TuningCache } from '@heddle/tensor/webgpu';
import { type Measurement, report } from './results.js';

const toggles = process.env['DAWN_TOGGLES']?.split(',');
const cache = new TuningCache();
const device: Device = await openWebGpu({ tuning: cache, ...(toggles && { toggles }) });
const adapter = `${device.name}: ${device.description}${toggles ? ` (${toggles.join(' ')})` : ''}`;
type Shape = readonly [dtype: 'f32' | 'f16', m: number, n: number, k: number];
const shapes: readonly Shape[] = [
  ['f32', 64, 1024, 1024],
  ['f32', 256, 1024, 1024],
  ['f32', 512, 512, 512],
  ['f32', 512, 4096, 4096],
  ['f32', 1024, 1024, 1024],
  ['f32', 2048, 2048, 2048],
  ['f16', 16, 4096, 4096],
  ['f16', 32, 4096, 4096],
  ['f16', 128, 4096, 4096],
  ['f16', 512, 2048, 2048],
  ['f16', 512, 4096, 4096],
  ['f16', 512, 8192, 2048],
  ['f16', 512, 2048, 8192],
  ['f16', 1024, 1024, 1024],
  ['f16', 2048, 2048, 2048],
  ['f16', 4096, 4096, 4096],
];
const measurements: Measurement[] = [];
for (const [dtype, m, n, k] of shapes) {
  const step = compile((a: Tensor, b: Tensor) => a.matmul(b), {
    device,
    inputs: [
      { shape: [m, k], dtype },
      { shape: [k, n], dtype },
    ],
  });
  for (const { choice, preferred, microseconds } of await step.tune())
    measurements.push({
      what: `tune ${dtype} ${m}x${n}x${k}: ${choice} (without tuning ${preferred})`,
      value: microseconds[choice]!,
      unit: 'us',
      adapter,
      ratio: microseconds[preferred]! / microseconds[choice]!,
      against: 'time without tuning',
    });
  step.dispose();
}
console.log(JSON.stringify(cache, undefined, 1));
report(measurements);
await device.dispose();
