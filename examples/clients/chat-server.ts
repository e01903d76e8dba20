// A server that clients of OpenAI's API talk to, and such a client: an answer as it comes, and one that is of a schema.
//   npx tsx --conditions=@heddle/source examples/clients/chat-server.ts [MODEL] [DEVICE]      after `npm ci --prefix examples/clients`
import { openTextModel } from '@heddle/llm';
import { createServer } from '@heddle/llm/serve';
import { serve } from '@hono/node-server';
import OpenAI from 'openai';
import { exampleArguments } from '../arguments.ts';

const { args, device } = exampleArguments('clients/chat-server.ts [MODEL]', 1);
const model = await openTextModel(args[0] ?? 'node_modules/@heddle/prose4m', { device, maxSequences: 4 });
const app = createServer({ local: model });
const { address, server } = await new Promise<{ address: string; server: ReturnType<typeof serve> }>((resolve) => {
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
    resolve({ address: `http://127.0.0.1:${port}/v1`, server }),
  );
});
console.log(`local at ${address}`);

const client = new OpenAI({ baseURL: address, apiKey: 'none' });
const messages = [{ role: 'user' as const, content: 'It was a cold evening, and' }];
const ask = { model: 'local', messages, temperature: 0.7, seed: 1, max_completion_tokens: 40 };
for await (const { choices } of await client.chat.completions.create({ ...ask, stream: true }))
  process.stdout.write(choices[0]?.delta.content ?? '');
console.log();

const schema = { type: 'object', properties: { mood: { enum: ['glad', 'grave'] } }, required: ['mood'] };
const { choices, usage } = await client.chat.completions.create({
  ...ask,
  max_completion_tokens: 60,
  response_format: { type: 'json_schema', json_schema: { name: 'mood', schema } },
});
console.log('as JSON:', JSON.parse(choices[0]!.message.content!).mood);
console.log('tokens:', usage!.total_tokens);

await app.stop();
server.close();
await model.dispose();
