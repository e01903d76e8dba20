/**
 * `npx tsx --conditions=@heddle/source scripts/golden-tokens.ts`: writes test-support/golden/prose4m.json, what the reference
 * executor generates greedily with the model of this repository, and how close the second best token came. For a new model only.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { loadModel } from '@heddle/llm';
import { openDevice } from '@heddle/tensor';

const prompts = ['It was a cold evening, and', 'The origin of species', 'ROMEO:\n'];
const count = 48;

const device = await openDevice('reference');
const model = await loadModel('examples/models/prose4m', { device });
const tokenizer = model.requireTokenizer();
const golden: Record<string, { prompt: number[]; tokens: number[] }> = {};
let smallestGap = Number.POSITIVE_INFINITY;
for (const text of prompts) {
  const prompt = tokenizer.encode(text);
  const tokens: number[] = [];
  while (tokens.length < count) {
    const logits = await model.logits([[...prompt, ...tokens]]); // no cache: the simplest way there is
    const last = ((await logits.data()) as Float32Array).slice(-model.config.vocabularySize);
    logits.dispose();
    const best = last.indexOf(last.reduce((a, b) => Math.max(a, b)));
    const second = last.reduce((most, value, id) => (id === best ? most : Math.max(most, value)), -Infinity);
    smallestGap = Math.min(smallestGap, last[best]! - second);
    tokens.push(best);
  }
  golden[text] = { prompt, tokens };
  console.log(JSON.stringify(text + tokenizer.decode(tokens)));
}
console.log(`the two best logits are never closer than ${smallestGap}`);
mkdirSync('test-support/golden', { recursive: true });
writeFileSync('test-support/golden/prose4m.json', `${JSON.stringify({ smallestGap, golden })}\n`);
await model.dispose();
await device.dispose();
