import { expect, test } from 'vitest';
import { parseChat } from './chat-options.ts';
import { UsageError } from './usage.ts';

test.each([
  ['--top-p 1.5', /--top-p takes a number from 0 to 1, got '1.5'/],
  ['--temperature=-1', /--temperature takes a number of at least 0, got '-1'/],
  ['--top-k 0', /--top-k takes a whole number of at least 1, got '0'/],
  ['--reasoning-budget=-1', /--reasoning-budget takes a whole number of at least 0, got '-1'/],
])('chat refuses %s', (line, message) => {
  const parse = () => parseChat(['--model', 'm', ...line.split(' ')]);
  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(message);
});

test('chat takes probabilities from 0 to 1', () => {
  for (const topP of [0, 0.9, 1]) expect(parseChat(['--model', 'm', '--top-p', String(topP)])).toMatchObject({ topP });
});
