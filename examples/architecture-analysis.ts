// What models of three sizes cost: parameters, keys and values, operations of attention. Every figure is counted, none estimated.
//   npx tsx --conditions=@heddle/source examples/architecture-analysis.ts [LENGTH]
import { inspectModel, type ModelReport } from '@heddle/llm';
import { size } from './arguments.ts';

const usage = 'architecture-analysis.ts [LENGTH]';
const length = size(usage, 'LENGTH', process.argv[2] ?? '2048');

/** The same three sizes twice: with the attention that suits a size, and as they were published. */
const models = {
  'attention by size': ['blocks-gpt2-small-mha', 'blocks-llama-7b-mqa', 'blocks-llama-65b-gqa-8'],
  'as published': ['gpt2-small', 'llama-7b', 'llama-65b'],
};

console.log('batch 1, f32 cache, f16 weights');
for (const [title, names] of Object.entries(models)) {
  console.log(`\n${title}`);
  console.log(
    row('model', 'parameters B', 'attention', 'length', 'cache MB/layer', 'attention GFLOP/layer', 'cache of memory'),
  );
  for (const name of names) {
    const { maxPositions } = await inspectModel(name);
    console.log(rowOf(await inspectModel(name, { length: Math.min(length, maxPositions), cacheDtype: 'f32' })));
  }
}

/** A layer is like every other one in these models. */
function rowOf({ name, parameters, layers, length, memory, cacheBytes }: ModelReport): string {
  const [layer] = layers;
  const { cacheBytes: layerCache, prefill, attention } = layer!;
  return row(
    name,
    (parameters.total / 1e9).toFixed(3),
    attention!.kind,
    `${length}`,
    (layerCache / 1e6).toFixed(2),
    (prefill.attention / 1e9).toFixed(1),
    `${((100 * cacheBytes) / (cacheBytes + memory.total)).toFixed(1)}%`,
  );
}

function row(name: string, ...cells: string[]): string {
  return [name.padEnd(24), ...cells.map((cell, i) => cell.padStart([14, 11, 8, 16, 23, 16][i]!))].join('');
}
