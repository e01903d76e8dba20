import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { drawing } from './testing/rude-clients.ts';
import { type ToolServer, toolServer } from './testing/tool-server.ts';
import { chatTurn, messagesTurn, type SeenCall } from './testing/tool-turns.ts';

/** A few in every run of the tests, all of them in `npm run soak`. */
const conversations = times >= 10 ? 500 : 6;
const turns = 3;

let server: ToolServer;
beforeAll(async () => {
  server = await toolServer(1);
}, 120_000);
afterAll(() => server.dispose());

const isText = (value: unknown, most: number) => typeof value === 'string' && [...value].length <= most;
const isCount = (value: unknown, least: number, most: number) =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
type Given = Readonly<Record<string, unknown>>;

/** Tools with arguments of many shapes, and what of them is right. */
const tools: Readonly<Record<string, { readonly parameters: object; readonly fits: (given: Given) => boolean }>> = {
  feel: {
    parameters: {
      type: 'object',
      properties: { mood: { enum: ['glad', 'grave', 'so "so"\n'] }, much: { type: 'boolean' } },
      required: ['mood', 'much'],
      additionalProperties: false,
    },
    fits: ({ mood, much, ...rest }) =>
      ['glad', 'grave', 'so "so"\n'].includes(mood as string) &&
      typeof much === 'boolean' &&
      Object.keys(rest).length === 0,
  },
  'find.book': {
    parameters: {
      type: 'object',
      properties: {
        title: { type: 'string', maxLength: 12 },
        year: { type: 'integer', minimum: 1800, maximum: 1899 },
        tags: { type: 'array', items: { type: 'string', maxLength: 4 }, maxItems: 2 },
      },
      required: ['title', 'year'],
      additionalProperties: false,
    },
    fits: ({ title, year, tags, ...rest }) =>
      isText(title, 12) &&
      isCount(year, 1800, 1899) &&
      (tags === undefined || (Array.isArray(tags) && tags.length <= 2 && tags.every((tag) => isText(tag, 4)))) &&
      Object.keys(rest).length === 0,
  },
  move_to: {
    parameters: {
      type: 'object',
      properties: {
        place: {
          type: 'object',
          properties: {
            x: { type: 'integer', minimum: -9, maximum: 9 },
            name: { type: ['string', 'null'], maxLength: 3 },
          },
          required: ['x', 'name'],
          additionalProperties: false,
        },
      },
      required: ['place'],
      additionalProperties: false,
    },
    fits: ({ place, ...rest }) => {
      const { x, name, ...more } = place as Given;
      const isName = name === null || isText(name, 3);
      return isCount(x, -9, 9) && isName && Object.keys({ ...rest, ...more }).length === 0;
    },
  },
  wait: {
    parameters: { type: 'object', properties: {}, additionalProperties: false },
    fits: (given) => Object.keys(given).length === 0,
  },
};
const names = Object.keys(tools);

function expectRight({ name, arguments: json }: SeenCall, choice: string): void {
  expect(choice === 'required' ? names : [choice]).toContain(name);
  const given = JSON.parse(json) as Given;
  expect(tools[name]!.fits(given) ? '' : `${name} ${json}`).toBe('');
}

/** A conversation of one API; in each turn the model calls tools, whose results come with the next. */
async function converse(number: number): Promise<number> {
  const draw = drawing(inject('seed') + 7919 * number);
  const ofAnthropic = number % 2 === 1;
  const messages: object[] = [{ role: 'user', content: `How is it on day ${number}?` }];
  let calls = 0;
  let kept = 0;
  for (let at = 0; at < turns; at++) {
    const choice = draw(3) === 0 ? names[draw(names.length)]! : 'required';
    const several = draw(6) === 0;
    const offered = Object.entries(tools).map(([name, { parameters }]) => ({ name, parameters }));
    const asked = { tools: offered, choice, several, stream: draw(2) === 0, seed: draw(2 ** 31) };
    const seen = await (ofAnthropic ? messagesTurn : chatTurn)(server.app, messages, asked);
    const whole = seen.finish === 'tool_calls' ? seen.calls : seen.calls.slice(0, -1);
    // one that may go on calling goes on until it is cut off
    if (!several) expect(seen.finish).toBe('tool_calls');
    expect(seen.calls.length).toBeGreaterThanOrEqual(1);
    if (!several) expect(seen.calls).toHaveLength(1);
    expect(new Set(seen.calls.map(({ id }) => id)).size).toBe(seen.calls.length);
    for (const call of whole) expectRight(call, choice);
    calls += whole.length;
    // two blocks: the one that the last token stands in, and the one that the next prompt begins in
    expect(seen.cachedTokens).toBeGreaterThanOrEqual(kept - 32);
    if (whole !== seen.calls) break;
    kept = seen.promptTokens + seen.newTokens;
    messages.push(...(ofAnthropic ? anthropicResults(seen.calls) : chatResults(seen.calls)));
  }
  return calls;
}

const chatResults = (calls: readonly SeenCall[]): object[] => [
  {
    role: 'assistant',
    content: null,
    tool_calls: calls.map(({ id, ...called }) => ({ id, type: 'function', function: called })),
  },
  ...calls.map(({ id, name }) => ({ role: 'tool', tool_call_id: id, content: `${name} is done` })),
];

const anthropicResults = (calls: readonly SeenCall[]): object[] => [
  {
    role: 'assistant',
    content: calls.map(({ id, name, arguments: json }) => ({ type: 'tool_use', id, name, input: JSON.parse(json) })),
  },
  {
    role: 'user',
    content: calls.map(({ id, name }) => ({ type: 'tool_result', tool_use_id: id, content: `${name} is done` })),
  },
];

test(
  `${conversations} conversations of ${turns} turns with tools: no malformed argument or index, and only what is new is computed`,
  async () => {
    let [next, calls] = [0, 0];
    const client = async () => {
      for (let number = next++; number < conversations; number = next++) {
        const made = await converse(number);
        calls += made;
      }
    };
    await Promise.all(Array.from({ length: 6 }, client));
    expect(calls).toBeGreaterThan(conversations * 2);
    await expect.poll(() => [server.app.running, server.busy()]).toEqual([0, 0]);
  },
  times >= 10 ? 3_600_000 : 120_000,
);
