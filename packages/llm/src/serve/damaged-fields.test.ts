import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { type ProseServer, proseServer } from '../../../../test-support/prose-server.ts';
import { damaged, type FieldPath, fieldsOf, valueAt, wholeBodies } from './testing/whole-bodies.ts';

let prose: ProseServer;
beforeAll(async () => {
  prose = await proseServer();
}, 120_000);
afterAll(() => prose.dispose());

const fields = Object.entries(wholeBodies).flatMap(([endpoint, body]) =>
  fieldsOf(body).map((path) => ({ endpoint, body, path, name: path.join('.') })),
);
type Field = (typeof fields)[number];

type Kind = 'text' | 'number' | 'boolean' | 'list' | 'object';
const kindOf = (value: unknown): Kind =>
  Array.isArray(value)
    ? 'list'
    : (({ string: 'text', object: 'object' } as Record<string, Kind>)[typeof value]! ?? (typeof value as Kind));

/** Fields that take values of several kinds, by their last name. */
const several: Readonly<Record<string, readonly Kind[]>> = {
  content: ['text', 'list'],
  output: ['text', 'list'],
  input: ['text', 'list', 'object'],
  system: ['text', 'list'],
  stop: ['text', 'list'],
  prompt: ['text', 'list'],
  tool_choice: ['text', 'object'],
};
const accepted = ({ body, path }: Field): readonly Kind[] => {
  const own = kindOf(valueAt(body, path));
  const [name, parent] = [path.at(-1), path.at(-2)];
  if (parent === 'documents') return ['text', 'object'];
  if (parent === 'prompt') return ['text', 'list', 'number'];
  return [own, ...(several[String(name)] ?? [])];
};

const junk = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 3 }),
  fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 }),
);

async function post(endpoint: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  const response = await prose.app.request(endpoint, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await response.text();
  const error =
    response.status === 200 ? undefined : (JSON.parse(text) as { error: { message: string; param?: string } }).error;
  return { status: response.status, text, error };
}

/** Words of the library that checks bodies. */
const foreign = /Invalid|expected .* received|Too (small|big)|Unrecognized|undefined|NaN|\[object/;

/** One sentence that begins with the field, or with one that holds it. */
function expectNamed(message: string, path: FieldPath, what: string): void {
  const at = /^([\w.]+): /.exec(message)?.[1];
  const within = path.some((_, i) => path.slice(0, i + 1).join('.') === at);
  expect(within ? '' : message, what).toBe('');
  expect(message, what).toMatch(/\.$/);
  expect(message, what).not.toMatch(foreign);
}

test('a value of another kind in any field is refused with a sentence that names it', async () => {
  const wrong = fc.constantFrom(...fields).chain((field) => {
    const kinds = accepted(field);
    return fc.tuple(
      fc.constant(field),
      junk.filter((value) => !kinds.includes(kindOf(value))),
    );
  });
  await fc.assert(
    fc.asyncProperty(wrong, async ([{ endpoint, body, path }, value]) => {
      const what = `${endpoint} ${path.join('.')}: ${JSON.stringify(value)}`;
      const { status, error } = await post(endpoint, damaged(body, path, value));
      expect(status, what).toBe(400);
      expectNamed(error!.message, path, what);
      expect(error!.message, what).toMatch(/: takes .*, got /);
      if (!endpoint.startsWith('/v1/messages')) expect(error!.param, what).toBe(/^[\w.]+/.exec(error!.message)![0]);
    }),
    runs(150),
  );
  expect(prose.app.running).toBe(0);
}, 120_000);

const numbers = fields.filter(({ body, path }) => typeof valueAt(body, path) === 'number');
const odd = fc.constantFrom<unknown>(undefined, null, -1, 0, 0.5, 2 ** 31, 1e300, -1e300, '', [], {});

test('a field that is left out, empty or far too large: an answer, or a sentence that names a field', async () => {
  // an answer of many tokens says no more
  const isLong = (path: FieldPath, value: unknown) =>
    /^max_/.test(String(path[0])) && [undefined, null, 2 ** 31].includes(value as undefined);
  const cases = fc
    .tuple(fc.oneof(fc.constantFrom(...fields), fc.constantFrom(...numbers)), odd)
    .filter(([{ path }, value]) => !isLong(path, value));
  await fc.assert(
    fc.asyncProperty(cases, async ([{ endpoint, body, path }, value]) => {
      const what = `${endpoint} ${path.join('.')}: ${JSON.stringify(value)}`;
      const { status, text, error } = await post(endpoint, damaged(body, path, value));
      expect([200, 400, 404], `${what} ${text}`).toContain(status);
      expect(text, what).not.toContain('internal_error');
      if (!error) return;
      expect(error.message, what).toMatch(/^[\w.]+: .*\.$/);
      expect(error.message, what).not.toMatch(foreign);
    }),
    runs(25),
  );
  await expect.poll(() => prose.busy()).toBe(0);
}, 240_000);
