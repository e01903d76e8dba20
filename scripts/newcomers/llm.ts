// What a newcomer writes first with a language model: a text, a stream, the same text again for the same seed.
import { generateText, openTextModel, streamText } from '@heddle/llm';

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
await model.dispose();
