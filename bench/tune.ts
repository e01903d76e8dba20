// What tuning finds for products of common shapes on this adapter, against the choices that are taken without it.
//   node bench/dist/tune.js
import { compile, type Device, type Tensor } from '@heddle/tensor';
import { openWebGpu, TuningCache } from '@heddle/tensor/webgpu';
import { type Measurement, report } from './results.js';

const toggles = process.env['DAWN_TOGGLES']?.split(',');
const cache = new TuningCache();
const device: Device = await openWebGpu({ tuning: cache, ...(toggles && { toggles }) });
const adapter = `${device.name}: ${device.description}${toggles ? ` (${toggles.join(' ')})` : ''}`;
const shapes: [m: number, n: number, k: number][] = [
  [64, 1024, 1024],
  [256, 1024, 1024],
  [512, 512, 512],
  [512, 4096, 4096],
  [1024, 1024, 1024],
  [2048, 2048, 2048],
];
const measurements: Measurement[] = [];
for (const [m, n, k] of shapes) {
  const step = compile((a: Tensor, b: Tensor) => a.matmul(b), {
    device,
    inputs: [{ shape: [m, k] }, { shape: [k, n] }],
  });
  for (const { choice, preferred, microseconds } of await step.tune())
    measurements.push({
      what: `tune f32 ${m}x${n}x${k}: ${choice} (without tuning ${preferred})`,
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
