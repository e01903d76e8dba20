import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../../test-support/scripted-model.ts';
import { createServer, withoutLines } from '../../serve.ts';

const said = async (options: object, body: object, path = '/v1/messages') => {
  const model = scriptedModel(['fine~']);
  const app = createServer({ m: model }, options);
  const headers = { 'content-type': 'application/json' };
  const response = await app.request(path, { method: 'POST', headers, body: JSON.stringify({ model: 'm', ...body }) });
  expect(response.status).toBe(200);
  return model.requireTokenizer().decode([...model.requests[0]!.tokens]);
};
const asked = (system: unknown) => ({ max_tokens: 4, system, messages: [{ role: 'user', content: 'hi' }] });

test('a header that changes every turn is no part of the prompt', async () => {
  const blocks = (turn: number) => [
    { type: 'text', text: `x-anthropic-billing-header: cc_version=2; cch=${turn};` },
    { type: 'text', text: 'Be brief.' },
  ];
  const [first, second] = [await said({}, asked(blocks(1))), await said({}, asked(blocks(2)))];
  expect(first).toBe('<system>Be brief.~<user>hi~<assistant>');
  expect(second).toBe(first);
  // only where nobody says otherwise
  expect(await said({ normalizers: [] }, asked(blocks(1)))).toContain('cch=1');
});

test('lines of system messages that match are left out, of no others', async () => {
  const normalizers = [withoutLines('clock', /^Now: /g)];
  expect(await said({ normalizers }, asked('Now: 10:00\n\nBe brief.\nNow: 10:01\nAlways.'))).toBe(
    '<system>Be brief.\nAlways.~<user>hi~<assistant>',
  );
  const user = { max_tokens: 4, messages: [{ role: 'user', content: 'Now: 10:00\nwhat?' }] };
  expect(await said({ normalizers }, user, '/v1/chat/completions')).toContain('Now: 10:00');
  expect(() => withoutLines('clock', 'Now' as never)).toThrow(
    /withoutLines: takes a regular expression, got string Now/,
  );
});

test('tokens are counted of what the model reads', async () => {
  const app = createServer({ m: scriptedModel(['fine~']) });
  const count = async (system: string) => {
    const body = JSON.stringify({ model: 'm', system, messages: [{ role: 'user', content: 'hi' }] });
    const headers = { 'content-type': 'application/json' };
    const response = await app.request('/v1/messages/count_tokens', { method: 'POST', headers, body });
    return ((await response.json()) as { input_tokens: number }).input_tokens;
  };
  expect(await count('x-anthropic-billing-header: cch=1;\nBe brief.')).toBe(await count('Be brief.'));
});
