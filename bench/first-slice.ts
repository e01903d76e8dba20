// Decoding speed of a small real model on every device of this machine, and what a replayed step costs the host.
//   node bench/dist/first-slice.js [MODEL]
import { fileURLToPath } from 'node:url';
import { flash } from '@heddle/attention';
import { contiguousCache, openSequence } from '@heddle/kvcache';
import { loadModel, openEngine } from '@heddle/llm';
import { argmax, compile, type Device, isHeddleError, openDevice, type Tensor } from '@heddle/tensor';
import { type Measurement, median, report } from './results.js';

const path = process.argv[2] ?? fileURLToPath(new URL('../../examples/models/prose4m', import.meta.url));
const prompt = [1, 403, 407, 261, 378];
const tokens = 240;

/** Tokens per second of the engine, one sequence, most likely tokens; the median of some generations. */
async function decodingSpeed(device: Device): Promise<number> {
  const model = await loadModel(path, { device });
  const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 256 });
  await engine.prepare(prompt.length);
  const speeds: number[] = [];
  for (let run = 0; run < 7; run++) {
    let first = 0;
    for await (const _ of engine.generate({ tokens: prompt, maxTokens: tokens })) first ||= performance.now();
    speeds.push(((tokens - 1) / (performance.now() - first)) * 1000);
  }
  await engine.dispose();
  await model.dispose();
  return median(speeds.slice(2));
}

/** Host time of encoding and submitting one decoding step, in microseconds, and its number of kernels. */
async function hostCost(device: Device): Promise<{ readonly us: number; readonly kernels: number }> {
  const model = await loadModel(path, { device });
  const cache = contiguousCache(device, { shape: model.kvShape, maxSequences: 1, maxSequenceTokens: 512 });
  const attention = flash();
  const i32 = (...shape: string[]) => ({ shape, dtype: 'i32' as const });
  const step = compile(
    (
      inputs: Record<'tokens' | 'positions' | 'segments', Tensor> & {
        readonly cache: Readonly<Record<string, Tensor>>;
      },
    ) => {
      const kv = cache.bind(inputs.cache);
      const { logits, updates } = model.forward({ ...inputs, kv, attention });
      return { best: argmax(logits, -1), updates };
    },
    {
      device,
      inputs: [
        {
          tokens: i32('T'),
          positions: i32('T'),
          segments: i32('T'),
          cache: cache.inputs,
        },
      ],
      symbols: { ...cache.symbols, T: 512 },
      name: 'decoding step',
    },
  );
  const sequence = openSequence(cache, 'bench');
  const times: number[] = [];
  for (let position = 0; position < 400; position++) {
    sequence.reserve(1);
    const { inputs, positions, segments, sizes, advance } = cache.batch([{ sequence, tokens: 1 }]);
    const begin = performance.now();
    const rows = { tokens: Int32Array.of(7), positions, segments, cache: inputs };
    const { best } = await step.run([rows], { symbols: sizes });
    times.push(performance.now() - begin);
    advance();
    if (position % 16 === 0) await best.data(); // lets the device catch up
  }
  const kernels = step.kernelCount()!;
  step.dispose();
  cache.dispose();
  await model.dispose();
  return { us: median(times.slice(100)) * 1000, kernels };
}

const measurements: Measurement[] = [];
for (const name of ['webgpu', 'onnx'] as const) {
  let device: Device;
  try {
    device = await openDevice(name);
  } catch (error) {
    if (!isHeddleError(error, 'ERR_DEVICE')) throw error;
    console.log(`${name}: not measured: ${error.message}`);
    continue;
  }
  const adapter = `${device.name}: ${device.description}`;
  measurements.push({
    what: 'prose4m f32 decode, batch 1',
    value: await decodingSpeed(device),
    unit: 'tok/s',
    adapter,
  });
  if (name === 'webgpu') {
    const { us, kernels } = await hostCost(device);
    measurements.push({
      what: `prose4m decoding step, ${kernels} kernels: host time a kernel`,
      value: us / kernels,
      unit: 'us',
      adapter,
    });
  }
  await device.dispose();
}
report(measurements);
