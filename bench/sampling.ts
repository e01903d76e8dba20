// Choosing tokens on the device: what each sample plan of an engine takes for the logits of a step, against the most likely token.
//   node bench/dist/sampling.js [VOCABULARY [ROWS...]]
import { type SampleColumn, type Sampler, sampler, stageSampling } from '@heddle/llm';
import { compile, type Tensor } from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import { type Measurement, median, report } from './results.js';

const [V = 128_256, ...batches] = process.argv.slice(2).map(Number);
const toggles = process.env['DAWN_TOGGLES']?.split(',');
const vulkanLoader = process.env['VULKAN_LOADER'];
const device = await openWebGpu({ ...(toggles ? { toggles } : {}), ...(vulkanLoader ? { vulkanLoader } : {}) });
const adapter = `${device.name}: ${device.description}${toggles ? ' (unsafe toggles)' : ''}`;
const constructors = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };
const samplers: Readonly<Record<string, Sampler>> = {
  'the most likely token': sampler({ temperature: 0 }),
  temperature: sampler({ temperature: 0.8, seed: 1 }),
  'top-k 50, top-p 0.95': sampler({ temperature: 0.8, topK: 50, topP: 0.95, seed: 1 }),
  'penalties too': sampler({ temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1, frequencyPenalty: 0.1, seed: 1 }),
};
const measurements: Measurement[] = [];
for (const R of batches.length > 0 ? batches : [1, 8, 32]) {
  const sampling = stageSampling(device, { maxSequences: R, maxSequenceTokens: 1024, vocabularySize: V });
  // a few likely tokens over a bell of unlikely ones
  const wave = (i: number) =>
    3 * Math.sin(1.7 * i) * Math.cos(0.37 * i) + (i % 997 === 3 ? 8 * Math.sin(0.013 * i) : 0);
  const logits = device.tensor(
    Float32Array.from({ length: R * V }, (_, i) => wave(i)),
    { shape: [R, V] },
  );
  const lanes = Int32Array.from({ length: R }, (_, i) => i);
  let greedy = 0;
  for (const [name, own] of Object.entries(samplers)) {
    const plan = sampling.plans[sampling.planOf(own)!]!;
    for (const lane of lanes) sampling.begin?.(lane, own, [1, 2, 3]);
    const columns: Record<string, SampleColumn> = {};
    for (const [column, dtype] of Object.entries(plan.columns)) columns[column] = new constructors[dtype](R);
    for (let row = 0; row < R; row++) plan.fill(columns, row, { sampler: own, sequence: row, index: 3 });
    const i32 = (shape: (number | string)[]) => ({ shape, dtype: 'i32' as const });
    const inputs = Object.entries(plan.columns).map(([column, dtype]) => [column, { shape: ['R'], dtype }]);
    const run = compile(
      (x: Tensor, at: Tensor, given: Record<string, Tensor>) => plan.record({ logits: x, lanes: at, columns: given }),
      { device, inputs: [{ shape: ['R', V] }, i32(['R']), Object.fromEntries(inputs) as never], symbols: { R } },
    );
    const times: number[] = [];
    for (let round = 0; round < 12; round++) {
      const begin = performance.now();
      let last: Promise<unknown> | undefined;
      for (let step = 0; step < 20; step++) last = (await run(logits, lanes, columns as never)).tokens.data();
      await last;
      times.push(((performance.now() - begin) / 20) * 1000);
    }
    const value = median(times.slice(2));
    greedy ||= value;
    const what = `sampling ${R} x ${V}: ${name}`;
    measurements.push({ what, value, unit: 'us', adapter, ratio: value / greedy, against: 'the most likely token' });
    run.dispose();
  }
  logits.dispose();
  sampling[Symbol.dispose]();
}
report(measurements);
await device.dispose();
