// Loads a model and streams text.
//   npx tsx --conditions=@heddle/source examples/generate-text.ts [MODEL [PROMPT]] [DEVICE]
import { openTextModel, sampler, streamText } from '@heddle/llm';
import { exampleArguments } from './arguments.ts';

const { args, device } = exampleArguments('generate-text.ts [MODEL [PROMPT]]', 2);
const [path = 'node_modules/@heddle/prose4m', prompt = 'It was a cold evening, and'] = args;
const drawing = sampler({ temperature: 0.8, topP: 0.95, seed: 1 });
const model = await openTextModel(path, { device, sampler: drawing });
await model.engine.prepare(prompt.length); // compiles now rather than before the first token

process.stdout.write(prompt);
const times = [performance.now()];
const stream = streamText({ model, prompt, maxTokens: 120, sampler: drawing });
for await (const part of stream.fullStream) {
  if (part.type !== 'text') continue;
  times.push(performance.now());
  process.stdout.write(part.text);
}
console.log();

const [began, first, last] = [times[0]!, times[1]!, times.at(-1)!];
const { inputTokens, outputTokens } = await stream.usage;
const { name, description } = model.model.device;
console.log(`\n${name}: ${description}`);
console.log(
  `${inputTokens} prompt tokens in ${(first - began).toFixed(1)} ms, then ${(((outputTokens - 1) / (last - first)) * 1000).toFixed(0)} tokens/s`,
);
await model.dispose();
