import { readFileSync } from 'node:fs';
import { flash, naive } from '@heddle/attention';
import { contiguousCache } from '@heddle/kvcache';
import { openOnnx } from '@heddle/tensor/onnx';
import { openReference } from '@heddle/tensor/reference';
import { ModelStep } from './engine/model-step.ts';
import { openModelFolder } from './folder.ts';
import { Llama, llamaWeightShapes } from './models/llama-tmp.ts';
import { Weights } from './models/weights.ts';

const golden = JSON.parse(readFileSync('/work/shared/models/stories260K/golden-greedy.json', 'utf8'));
for (const [name, open] of [
  ['onnx', openOnnx],
  ['reference', openReference],
] as const) {
  const device = await open();
  const t0 = performance.now();
  const folder = await openModelFolder('/work/shared/models/stories260K');
  const weights = await Weights.load(device, folder.weights, llamaWeightShapes(folder.config), {
    dtype: 'f32',
    frozen: true,
  });
  const model = new Llama(device, folder.config, weights, { attention: flash() });
  const cache = contiguousCache(device, { ...model.kvShape, maxSequences: 1, maxSequenceTokens: 512 });
  const step = new ModelStep(model, process.argv[2] === 'naive' ? naive() : flash(), cache, 512);
  const seq = cache.sequence('a')!;
  const { prompt, tokens } = golden['Once upon a time'];
  const got: number[] = [];
  let input = prompt;
  const run = async () => {
    const n = input.length;
    seq.reserve(n);
    const batch = cache.batch([{ sequence: seq, tokens: n }]);
    const out = await step.run(
      {
        tokens: Int32Array.from(input),
        positions: Int32Array.from(input, (_: number, i: number) => seq.length + i),
        segments: new Int32Array(n),
        rows: Int32Array.of(n - 1),
      },
      batch,
    );
    batch.advance();
    const [t] = await out.best.data();
    got.push(t!);
    input = [t!];
  };
  await run();
  const t1 = performance.now();
  const N = name === 'onnx' ? 250 : 30;
  for (let i = 1; i < N; i++) await run();
  const t2 = performance.now();
  console.log(
    name,
    'first',
    (t1 - t0).toFixed(0),
    'ms; decode',
    (((N - 1) / (t2 - t1)) * 1000).toFixed(0),
    'tok/s; got',
    got.slice(0, 8).join(),
    tokens.slice(0, 8).join(),
    'first diff',
    got.findIndex((t, i) => t !== tokens[i]),
    'equal',
    got.every((t, i) => t === tokens[i]),
    'kernels',
    step.kernelCount(),
  );
  if (process.argv[3]) console.log(step.explain());
  await device.dispose();
}
