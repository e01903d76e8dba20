// What a newcomer writes first with the batcher: items whose type is that of the batch.
import { dynamicBatcher } from '@heddle/batcher';

const square = dynamicBatcher({
  maxBatchSize: 8,
  maxWaitMs: 2,
  run: async (items: readonly number[]) => items.map((item) => item * item),
});
const results: number[] = await Promise.all([1, 2, 3].map((item) => square(item)));
console.log(results.join(' '));
await square.close();
