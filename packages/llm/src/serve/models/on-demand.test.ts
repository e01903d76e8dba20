import { expect, test, vi } from 'vitest';
import { createServer, onDemand, type ServedPart, type ShelvedModel } from '../../serve.ts';

const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2, cachedTokens: 0, reasoningTokens: 0 };

/** Models of a byte each that answer when they are told to, and what happened to them. */
function models(bytes: Readonly<Record<string, number>>, options: Parameters<typeof onDemand>[1] = {}) {
  const log: string[] = [];
  const held = new Map<string, () => void>();
  const open = (id: string) => (): ShelvedModel => {
    log.push(`open ${id}`);
    if (id === 'broken') return { ...shelved(id), opened: Promise.reject(new Error('no such file')) };
    return shelved(id);
  };
  const shelved = (id: string): ShelvedModel => ({
    id,
    ready: true,
    maxSequenceTokens: 100,
    memoryBytes: bytes[id]!,
    opened: Promise.resolve(),
    async *generate(request): AsyncGenerator<ServedPart> {
      yield { type: 'start', tokens: [1] };
      if (request.prompt === 'hold') await new Promise<void>((resolve) => held.set(id, resolve));
      yield { type: 'text', text: id, tokens: [2] };
      yield { type: 'finish', finishReason: 'stop', stop: undefined, usage };
    },
    tokens: async () => [1],
    text: async () => id,
    stats: async () => ({ running: 0, waiting: 0, cacheUsage: 0 }),
    [Symbol.asyncDispose]: async () => void log.push(`close ${id}`),
  });
  const shelf = onDemand(
    Object.keys(bytes).map((id) => ({ id, bytes: bytes[id]!, open: open(id) })),
    options,
  );
  const app = createServer(shelf.models);
  const ask = async (model: string, prompt = 'hi', signal?: AbortSignal) => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ model, prompt, max_tokens: 1 });
    return (await app.request('/v1/completions', { method: 'POST', headers, body, ...(signal && { signal }) })).status;
  };
  return { shelf, app, ask, log, held };
}

test('models open when they are asked for, and close when their memory is needed: what was used longest ago first', async () => {
  const { ask, log, shelf, app } = models({ a: 2, b: 2, c: 3 }, { memoryBytes: 5 });
  expect([(await app.request('/ready')).status, log]).toEqual([200, []]);
  expect([await ask('a'), await ask('b'), await ask('a')]).toEqual([200, 200, 200]);
  expect([log, shelf.open]).toEqual([
    ['open a', 'open b'],
    ['a', 'b'],
  ]);
  expect(await ask('c')).toBe(200);
  expect([log.slice(2), shelf.open]).toEqual([
    ['close b', 'open c'],
    ['a', 'c'],
  ]);
  // looking opens nothing
  await app.request('/metrics');
  await shelf.dispose();
  expect(log.slice(4).sort()).toEqual(['close a', 'close c']);
  expect([shelf.open, await ask('a')]).toEqual([[], 503]);
});

test('one that is at work is not closed: who needs its memory waits, or leaves', async () => {
  const { ask, log, held, shelf, app } = models({ a: 3, b: 3 }, { memoryBytes: 4 });
  const first = ask('a', 'hold');
  await expect.poll(() => held.size).toBe(1);
  const controller = new AbortController();
  const left = ask('b', 'hi', controller.signal);
  const second = ask('b');
  controller.abort();
  expect(await left).toBe(499);
  expect([log, app.running]).toEqual([['open a'], 2]);
  held.get('a')!();
  expect([await first, await second, log]).toEqual([200, 200, ['open a', 'close a', 'open b']]);
  await shelf.dispose();
});

test('all that ask at once open it once; one that cannot be opened is tried again', async () => {
  const { ask, log, shelf } = models({ a: 1, broken: 1, large: 9 }, { memoryBytes: 4 });
  expect(await Promise.all([ask('a'), ask('a'), ask('a')])).toEqual([200, 200, 200]);
  expect([await ask('broken'), await ask('broken'), await ask('large'), await ask('a')]).toEqual([500, 500, 503, 200]);
  expect(log.filter((each) => each.startsWith('open'))).toEqual(['open a', 'open broken', 'open broken']);
  await shelf.dispose();
});

test('closes what nobody asks for', async () => {
  const changes: string[] = [];
  const { ask, log, shelf } = models(
    { a: 1 },
    { idleMs: 30, onChange: (id, change) => changes.push(`${change} ${id}`) },
  );
  await ask('a');
  await expect.poll(() => log).toEqual(['open a', 'close a']);
  expect(await ask('a')).toBe(200);
  expect(changes).toEqual(['opening a', 'closed a', 'opening a']);
  await shelf.dispose();
  expect(() => onDemand([], { idleMs: 0 })).toThrow('onDemand: idleMs must be a positive number, got 0');
});

test('who asks again in time begins the time anew', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const { ask, shelf } = models({ a: 1 }, { idleMs: 100 });
    await ask('a');
    await vi.advanceTimersByTimeAsync(70);
    await ask('a');
    await vi.advanceTimersByTimeAsync(99);
    expect(shelf.open).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1);
    expect(shelf.open).toEqual([]);
    await shelf.dispose();
  } finally {
    vi.useRealTimers();
  }
});
