// Bookkeeping of caches: what a step of many sequences costs the host beside the model, and what sequences of usual lengths take.
//   node bench/dist/kvcache.js
import { contiguousCache, type KvCache, keyValueShape, openSequence, pagedCache } from '@heddle/kvcache';
import { threefry2x32, uniformFromBits } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { type Measurement, median, report } from './results.js';

const device = await openReference();
const adapter = 'host';
// one value a token: what is measured is not what lies in the memory
const shape = keyValueShape({ layers: 1, heads: 1, headDim: 1, dtype: 'f16' });
const count = 256;
let drawn = 0;
const uniform = () => uniformFromBits(threefry2x32(7, 0, drawn++, 0));
/** Log-normal, around 500. */
const usualLength = () => {
  const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Math.min(2048, Math.max(1, Math.round(500 * Math.exp(0.5 * normal))));
};

/** Microseconds of the bookkeeping of a decoding step: reserve, lay out, advance, know. */
function steps(cache: KvCache, rounds: number): number[] {
  const sequences = Array.from({ length: count }, (_, i) => {
    const sequence = openSequence(cache, `s${i}`);
    const length = usualLength();
    sequence.reserve(length);
    cache.batch([{ sequence, tokens: length }]).advance();
    sequence.know(Array.from({ length }, (_, j) => (i * 31 + j) % 32_000));
    return sequence;
  });
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    for (const sequence of sequences) sequence.reserve(1);
    const batch = cache.batch(sequences.map((sequence) => ({ sequence, tokens: 1 })));
    batch.advance();
    for (const sequence of sequences) sequence.know([round]);
    times.push((performance.now() - begin) * 1000);
    if (batch.positions.length !== count) throw new Error('a batch of other rows');
  }
  for (const sequence of sequences) sequence.dispose();
  return times;
}

const sizes = { shape, maxSequences: count, maxSequenceTokens: 8192 };
const measurements: Measurement[] = [];
for (const [layout, cache] of [
  ['paged', pagedCache(device, { ...sizes, tokens: 1_000_000 })],
  ['contiguous', contiguousCache(device, sizes)],
] as const) {
  steps(cache, 300); // warm
  const times: number[] = [];
  for (let run = 0; run < 10; run++) times.push(...steps(cache, 200)); // from the usual lengths on, each time
  times.sort((a, b) => a - b);
  const what = `${layout} cache, ${count} sequences: bookkeeping of a decoding step`;
  measurements.push(
    {
      what: `${what}, p50`,
      value: median(times),
      unit: 'us',
      adapter,
      ratio: median(times) / 50,
      against: 'aim of 50 us',
    },
    {
      what: `${what}, p99`,
      value: times[Math.floor(times.length * 0.99)]!,
      unit: 'us',
      adapter,
      ratio: times[Math.floor(times.length * 0.99)]! / 300,
      against: 'aim of 300 us',
    },
  );
  cache.checkIntegrity();
  cache.dispose();
}

// how many sequences of usual lengths the bytes of a contiguous cache of 2,048 tokens each hold in blocks
const places = 256;
const paged = pagedCache(device, { shape, maxSequences: 4096, maxSequenceTokens: 2048, tokens: places * 2048 });
const contiguous = contiguousCache(device, { shape, maxSequences: places, maxSequenceTokens: 2048 });
if (paged.stats().bytes > contiguous.stats().bytes) throw new Error('caches of different sizes');
let held = 0;
while (openSequence(paged, `h${held}`).reserve(usualLength())) held++;
measurements.push({
  what: 'sequences of log-normal length around 500 in the memory of contiguous ones of 2,048',
  value: held,
  unit: 'sequences',
  adapter,
  ratio: held / places,
  against: `contiguous cache (${places})`,
});
paged.dispose();
contiguous.dispose();
report(measurements);
await device.dispose();
