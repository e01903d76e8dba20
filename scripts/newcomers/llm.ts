// What a newcomer writes first with a language model: a text, a stream, the same text again for the same seed; then one part of
// the engine is another, and the rest stays.
import { execFileSync } from 'node:child_process';
import { byPriority, continuousScheduler } from '@heddle/batcher';
import { generateText, openEngine, openTextModel, streamText } from '@heddle/llm';

const model = await openTextModel('node_modules/@heddle/prose4m');
const prompt = 'It was a cold evening, and';
const { text, usage } = await generateText({ model, prompt, maxTokens: 20, temperature: 0 });
let streamed = '';
for await (const piece of streamText({ model, prompt, maxTokens: 20, temperature: 0 })) streamed += piece;
console.log(text, usage.totalTokens);
if (streamed !== text) throw new Error(`a stream gives ${streamed}`);

const drawn = { model, prompt, maxTokens: 20, temperature: 0.8, seed: 7 };
const [first, again, other] = await Promise.all(
  [drawn, drawn, { ...drawn, seed: 8 }].map((each) => generateText(each)),
);
if (first?.text !== again?.text || first?.text === other?.text) throw new Error('a seed is a text');

try {
  await openTextModel('no/such/model');
} catch (error) {
  console.log((error as Error).message);
}

// what waits goes by priority
const urgent = openEngine(model.model, {
  scheduler: (capacity, limits) => continuousScheduler({ ...limits, capacity, policy: byPriority() }),
});
const tokens = model.requireTokenizer().encode(prompt);
let count = 0;
for await (const _ of urgent.generate({ tokens, maxTokens: 5, priority: 1 })) count++;
if (count !== 5) throw new Error(`an engine with another scheduler gives ${count} tokens`);
await urgent.dispose();
// a scheduler that plans more than the engine takes is told so by name
const greedyScheduler = openEngine(model.model, {
  maxBatchTokens: 4,
  scheduler: (capacity, limits) => continuousScheduler({ ...limits, maxBatchTokens: 64, capacity }),
});
try {
  for await (const _ of greedyScheduler.generate({ tokens, maxTokens: 2 })) throw new Error('it gave a token');
} catch (error) {
  if (!/maxBatchTokens is 4/.test((error as Error).message)) throw error;
}
await greedyScheduler.dispose();
await model.dispose();

// one line for each device, without the limits of adapters
const devices = execFileSync('npx', ['heddle', 'devices'], { encoding: 'utf8' }).trim().split('\n');
if (devices.length > 12 || devices.some((line) => /maxTexture/.test(line))) throw new Error(devices.join('\n'));
console.log(devices.at(-1));
