// A model of this process in the AI SDK: text as it comes, and a tool that the model has to call.
//   npx tsx --conditions=@heddle/source examples/clients/ai-sdk.ts [MODEL] [DEVICE]      after `npm ci --prefix examples/clients`
import { openTextModel } from '@heddle/llm';
import { createHeddle } from '@heddle/llm/ai-sdk';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import { exampleArguments } from '../arguments.ts';

const { args, device } = exampleArguments('clients/ai-sdk.ts [MODEL]', 1);
const opened = await openTextModel(args[0] ?? 'node_modules/@heddle/prose4m', { device, maxSequences: 2 });
const model = createHeddle({ local: opened })('local');

const { textStream } = streamText({
  model,
  prompt: 'It was a cold evening, and',
  maxOutputTokens: 40,
  temperature: 0.7,
  seed: 1,
});
for await (const piece of textStream) process.stdout.write(piece);
console.log();

const feel = tool({
  description: 'Says how you feel',
  inputSchema: jsonSchema<{ mood: string }>({
    type: 'object',
    properties: { mood: { enum: ['glad', 'grave', 'tender'] } },
    required: ['mood'],
  }),
  execute: async ({ mood }) => `so you are ${mood}`,
});
const { toolCalls, toolResults } = await generateText({
  model,
  prompt: 'How do you feel?',
  tools: { feel },
  toolChoice: 'required',
  maxOutputTokens: 120,
  seed: 1,
  providerOptions: { heddle: { parallelToolCalls: false } }, // whatever generateText of @heddle/llm takes
});
for (const { toolName, input } of toolCalls) console.log('called:', toolName, JSON.stringify(input));
for (const { output } of toolResults) console.log('result:', output);
await opened.dispose();
