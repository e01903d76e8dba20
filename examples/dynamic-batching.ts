// Prompts that come at about the same time are computed together: a dynamic batcher around a model's logits.
//   npx tsx --conditions=@heddle/source examples/dynamic-batching.ts [MODEL] [DEVICE]

import { setTimeout as pause } from 'node:timers/promises';
import { dynamicBatcher, padded } from '@heddle/batcher';
import { greedy, loadModel } from '@heddle/llm';
import { openDevice } from '@heddle/tensor';
import { exampleArguments } from './arguments.ts';

const { args, device: name } = exampleArguments('dynamic-batching.ts [MODEL]', 1);
const [path = 'node_modules/@heddle/prose4m'] = args;
const device = await openDevice(name);
const model = await loadModel(path, { device });
const tokenizer = model.requireTokenizer();

/** The most likely next token of each row. Rows are padded on the left, where the mask is 0. */
async function nextTokens(rows: number[][], attentionMask: number[][]): Promise<number[]> {
  const logits = await model.logits(rows, { attentionMask }); // [B, T, V]
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  const size = values.length / rows.flat().length;
  const last = (row: number) => (row + 1) * rows[0]!.length - 1;
  return rows.map((_, i) =>
    greedy().sample(values.subarray(last(i) * size, (last(i) + 1) * size), { step: 0, sequence: i }),
  );
}

/** Sends prompts all at once, and prints what the batcher says of them beside the same prompts one by one. */
async function wave(prompts: readonly number[][], print: (line: string) => void): Promise<void> {
  const sizes: number[] = [];
  const next = dynamicBatcher({
    maxBatchSize: 8,
    maxWaitMs: 10,
    collate: padded<number[]>({ tokensOf: (tokens) => tokens, side: 'left' }),
    run: ({ rows, columns, tokens, mask }) => {
      const table = (list: ArrayLike<number>) =>
        Array.from({ length: rows }, (_, row) => Array.from(list).slice(row * columns, (row + 1) * columns));
      return nextTokens(table(tokens), table(mask));
    },
    observers: [{ started: ({ size }) => sizes.push(size) }],
  });
  const together = await Promise.all(prompts.map((prompt) => next(prompt)));
  const { waitMs, answeredPerSecond } = next.figures();
  await next.close();

  const start = performance.now();
  const alone: number[] = [];
  for (const prompt of prompts) alone.push(...(await nextTokens([prompt], [prompt.map(() => 1)])));
  const onePerSecond = (prompts.length / (performance.now() - start)) * 1000;

  const columns = [prompts.length, sizes.join(' '), waitMs.mean.toFixed(1), waitMs.p95.toFixed(1)];
  const rates = [answeredPerSecond.toFixed(0), onePerSecond.toFixed(0), String(together) === String(alone)];
  print([...columns, ...rates].map((cell) => String(cell).padStart(12)).join(''));
}

const text =
  'It was a cold evening, and the wind was high. She sat at the window with a book, and looked out at the road.';
const words = tokenizer.encode(text);
const prompts = Array.from({ length: 40 }, (_, i) => words.slice(0, 4 + ((i * 7) % (words.length - 3))));
const counts = [1, 4, 16, 40];
for (const count of counts) await wave(prompts.slice(0, count), () => {}); // compiles and allocates

console.log(`${device.name}: ${device.description}`);
console.log(
  ['requests', 'batches of', 'mean wait', 'p95 wait ms', 'prompts/s', 'one by one', 'same tokens']
    .map((title) => title.padStart(12))
    .join(''),
);
for (const count of counts) {
  await wave(prompts.slice(0, count), console.log);
  await pause(50);
}

await model.dispose();
await device.dispose();
