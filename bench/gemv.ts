// Products of one row, and of a few, with stored weights: bytes of weights per second as a share of what a kernel reads that does nothing else.
//   node bench/dist/gemv.js [FILTER]
import { matmul, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { gemvBandwidth, readBandwidth } from './gemv-measure.js';
import { type Measurement, report } from './results.js';

const filter = process.argv[2] ?? '';
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const device = await openWebGpu(toggles ? { toggles } : {});
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const product = (x: Tensor, w: Tensor) => matmul(x, w, { transposeB: true });
const read = await readBandwidth(device);
const measurements: Measurement[] = [{ what: 'read of 1 GiB', value: read / 1e9, unit: 'GB/s', adapter }];
const all = ['f16', 'bf16', 'q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'] as const;
const cases = [
  [1, 'f16', all],
  [1, 'f32', ['f16', 'q4_0']],
  [8, 'f16', ['f16', 'bf16', 'q4_0', 'q4_k']],
  [64, 'f16', all.filter((dtype) => dtype !== 'bf16')],
] as const;
for (const [rows, activations, dtypes] of cases)
  for (const dtype of dtypes) {
    const name = `GEMV ${dtype} [${rows}, 4096] ${activations} x [4096, 14336]`;
    if (!name.includes(filter)) continue;
    const [result] = await gemvBandwidth(device, dtype, activations, [{ name, f: product }], rows);
    const { bytesPerSecond } = result!;
    measurements.push({
      what: name,
      value: bytesPerSecond / 1e9,
      unit: 'GB/s of weights',
      adapter,
      ratio: bytesPerSecond / read,
      against: 'read bandwidth',
    });
  }
report(measurements);
await device.dispose();
