import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeExample, type TokenExample } from './encode-examples.ts';
import { exampleBatches } from './example-batches.ts';
import { jsonLines, readExamples } from './json-lines.ts';
import { permutation } from './permutation.ts';
import { encodeDocuments, textFiles } from './text-files.ts';
import { tokenBatches } from './token-batches.ts';
import { openTokenFile, tokenArray } from './token-source.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(`${tmpdir()}/data-`);
});
afterEach(() => rm(root, { recursive: true }));

async function collect<T>(values: AsyncIterable<T>, most = Number.POSITIVE_INFINITY): Promise<T[]> {
  const found: T[] = [];
  if (most === 0) return found;
  for await (const value of values) if (found.push(value) === most) break;
  return found;
}
const codes = (text: string) => [...text].map((character) => character.charCodeAt(0));

test('an order has each place once, another in each epoch and for each seed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), fc.nat(5), (count, seed, epoch) => {
      const order = permutation(count, seed, epoch);
      const places = Array.from({ length: count }, (_, i) => order(i));
      expect(new Set(places).size).toBe(count);
      expect(Math.max(...places)).toBe(count - 1);
      if (count > 50)
        expect(places).not.toEqual(Array.from({ length: count }, (_, i) => permutation(count, seed, epoch + 1)(i)));
    }),
    { numRuns: 50 },
  );
  const ranks = Array.from({ length: 1000 }, (_, i) => permutation(1000, 1, 0)(i));
  const halves = ranks.slice(0, 500).filter((rank) => rank < 500).length;
  expect(Math.abs(halves - 250)).toBeLessThan(50);
});

describe('streams of tokens', () => {
  test('from files, by position, and from memory', async () => {
    const values = Array.from({ length: 100 }, (_, i) => (i * 977) % 5000);
    await writeFile(`${root}/a.bin`, Uint16Array.from(values));
    await writeFile(`${root}/b.bin`, Uint32Array.from([7, ...values]));
    const sources = [
      await openTokenFile(`${root}/a.bin`, { vocabularySize: 5000 }),
      await openTokenFile(`${root}/b.bin`, { dtype: 'uint32', byteOffset: 4 }),
      tokenArray(values),
    ];
    for (const source of sources) {
      expect(source.length).toBe(100);
      expect([...(await source.read(13, 20))]).toEqual(values.slice(13, 33));
      await expect(source.read(90, 11)).rejects.toThrow(/100 tokens, asked for 11 from 90/);
      await source.close();
    }
  });

  test('that are damaged are refused by what is wrong with them', async () => {
    const data = { code: 'ERR_DATA' };
    await expect(openTokenFile(`${root}/none.bin`)).rejects.toMatchObject(data);
    await writeFile(`${root}/empty.bin`, '');
    await expect(openTokenFile(`${root}/empty.bin`)).rejects.toMatchObject({ code: 'ERR_EMPTY_DATA' });
    await writeFile(`${root}/odd.bin`, new Uint8Array(7));
    await expect(openTokenFile(`${root}/odd.bin`)).rejects.toThrow(/7 bytes, no whole number of uint16 tokens/);
    await writeFile(`${root}/large.bin`, Uint32Array.of(1, 2, 4_000_000_000, 5));
    const large = await openTokenFile(`${root}/large.bin`, { dtype: 'uint32' });
    await expect(large.read(1, 3)).rejects.toThrow(/token 4000000000 at place 2/);
    await large.close();
    const small = await openTokenFile(`${root}/large.bin`, { vocabularySize: 100 });
    await expect(small.read(0, 8)).rejects.toThrow(/token 10240 at place 4, the vocabulary has 100/);
    await truncate(`${root}/large.bin`, 4);
    await expect(small.read(0, 8)).rejects.toThrow(/became shorter/);
    await small.close();
    expect(() => tokenArray([1, 5], { vocabularySize: 5 })).toThrow(/token 5 at place 1/);
    expect(() => tokenArray([])).toThrow(expect.objectContaining({ code: 'ERR_EMPTY_DATA' }));
  });

  test('become batches: each token is learned once in an epoch, and a cursor goes on exactly', async () => {
    const source = tokenArray(Array.from({ length: 101 }, (_, i) => i));
    const options = { rows: 3, length: 8, seed: 5 };
    const epoch = await collect(tokenBatches(source, { ...options, epochs: 1 }));
    expect(epoch.map(({ tokens }) => tokens.shape)).toEqual([...Array.from({ length: 4 }, () => [3, 8])]);
    const targets = epoch.flatMap((batch) => [...batch.targets.data]);
    expect([...targets].sort((a, b) => a - b)).toEqual(Array.from({ length: 96 }, (_, i) => i + 1));
    for (const batch of epoch) expect(batch.targets.data).toEqual(batch.tokens.data.map((token) => token + 1));
    expect(targets).not.toEqual([...targets].sort((a, b) => a - b));

    const all = await collect(tokenBatches(source, options), 13);
    for (const taken of [0, 1, 3, 4, 9]) {
      const first = tokenBatches(source, options);
      await collect(first, taken);
      const cursor = JSON.parse(JSON.stringify(first.cursor)) as typeof first.cursor;
      expect(await collect(tokenBatches(source, { rows: 3, length: 8, cursor }), 13 - taken)).toEqual(all.slice(taken));
    }
    const rest = await collect(tokenBatches(source, { rows: 5, length: 8, epochs: 1, shuffle: false }));
    expect(rest.map(({ tokens }) => tokens.shape[0])).toEqual([5, 5, 2]);
    expect(await collect(tokenBatches(source, { rows: 5, length: 8, epochs: 1, dropLast: true }))).toHaveLength(2);
    expect([...rest[0]!.tokens.data.subarray(0, 9)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('refuse what gives no batch', () => {
    const source = tokenArray([1, 2, 3]);
    const options = { rows: 1, length: 2 };
    expect(() => tokenBatches(source, { rows: 1, length: 3 })).toThrow(
      expect.objectContaining({ code: 'ERR_EMPTY_DATA' }),
    );
    expect(() => tokenBatches(source, { rows: 0, length: 2 })).toThrow(/rows must be/);
    expect(() => tokenBatches(source, { ...options, epochs: 0 })).toThrow(/epochs must be/);
    expect(() => tokenBatches(source, { ...options, seed: 0.5 })).toThrow(/seed must be/);
    const cursor = { seed: 1, epoch: 0, place: 9 };
    expect(() => tokenBatches(source, { ...options, cursor })).toThrow(/the cursor is of other data/);
    expect(() => tokenBatches(source, { ...options, seed: 2, cursor: { ...cursor, place: 0 } })).toThrow(
      /has seed 1, got seed 2/,
    );
  });
});

test('texts of files and folders, in the order of their names', async () => {
  await mkdir(`${root}/texts/b`, { recursive: true });
  await writeFile(`${root}/texts/c.txt`, '\ufeffthree');
  await writeFile(`${root}/texts/b/x.md`, 'two \ufffd');
  await writeFile(`${root}/texts/a.txt`, 'one');
  await writeFile(`${root}/texts/a.png`, 'none');
  const found = await collect(textFiles(`${root}/texts`));
  expect(found.map(({ text }) => text)).toEqual(['one', 'two \ufffd', 'three']);
  expect(await collect(textFiles(`${root}/texts/a.png`))).toHaveLength(1);
  const source = await encodeDocuments(found, codes, { endToken: 0 });
  expect([...(await source.read(0, 8))]).toEqual([...codes('one'), 0, ...codes('two ')]);
  await expect(collect(textFiles(`${root}/texts`, { extensions: ['.py'] }))).rejects.toMatchObject({
    code: 'ERR_EMPTY_DATA',
  });
  await expect(collect(textFiles(`${root}/none`))).rejects.toMatchObject({ code: 'ERR_DATA' });
  await writeFile(`${root}/texts/d.txt`, Uint8Array.of(0xff, 0xfe, 0x41));
  await expect(collect(textFiles(`${root}/texts`))).rejects.toThrow(/d.txt is no UTF-8 text/);
});

describe('examples', () => {
  test('from JSON lines, whatever the pieces they are read in', async () => {
    const long = 'ü'.repeat(700_000); // over the size of a piece, and no character is cut
    const lines = [
      { text: 'a' },
      { prompt: 'p', completion: 'c' },
      {
        messages: [
          { role: 'user', content: 'hi' },
          { role: 'assistant', content: long },
        ],
      },
    ];
    await writeFile(`${root}/a.jsonl`, `${lines.map((line) => JSON.stringify(line)).join('\r\n')}\n\n`);
    expect(await collect(readExamples(`${root}/a.jsonl`))).toEqual(lines);
    for (const [text, message] of [
      ['{"text":"a"}\n{"text":', /line 2/],
      ['{"text":"a"}\n\n[1]', /line 3: takes { text }/],
      ['null', /line 1: takes/],
      ['{"messages":[]}', /line 1/],
      ['{"messages":[{"role":"user"}]}', /line 1/],
    ] as const) {
      await writeFile(`${root}/bad.jsonl`, text);
      await expect(collect(readExamples(`${root}/bad.jsonl`))).rejects.toThrow(message);
    }
    await writeFile(`${root}/bad.jsonl`, Uint8Array.of(34, 0xff, 34));
    await expect(collect(jsonLines(`${root}/bad.jsonl`))).rejects.toThrow(/is no UTF-8/);
    await writeFile(`${root}/bad.jsonl`, '\n');
    await expect(collect(readExamples(`${root}/bad.jsonl`))).rejects.toMatchObject({ code: 'ERR_EMPTY_DATA' });
  });

  test('are learned where they answer', () => {
    const encoder = { encode: codes, startToken: 1, endToken: 2 };
    const shown = ({ tokens, learned }: TokenExample) =>
      [...tokens]
        .map((token, i) => `${token < 9 ? token : String.fromCharCode(token)}${learned[i] ? '+' : ''}`)
        .join('');
    expect(shown(encodeExample({ text: 'ab' }, encoder))).toBe('1a+b+2+');
    expect(shown(encodeExample({ prompt: 'ab', completion: 'c' }, encoder))).toBe('1abc+2+');
    const renderChat = (messages: readonly { role: string; content: string }[], answer: boolean) =>
      messages.map(({ role, content }) => `<${role[0]}>${content};`).join('') + (answer ? '<a>' : '');
    const messages = [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'y' },
      { role: 'user', content: 'z' },
      { role: 'assistant', content: 'w' },
    ];
    expect(shown(encodeExample({ messages }, { ...encoder, renderChat }))).toBe('<u>x;<a>y+;+<u>z;<a>w+;+');
    expect(() => encodeExample({ messages }, encoder)).toThrow(/need renderChat/);
    expect(() => encodeExample({ messages: messages.slice(0, 1) }, { ...encoder, renderChat })).toThrow(/says nothing/);
    const unstable = { ...encoder, renderChat: (list: readonly unknown[]) => `${list.length}` };
    expect(() => encodeExample({ messages }, unstable)).toThrow(/changes earlier messages/);
  });

  const example = (prompt: number, completion: number, token: number): TokenExample => ({
    tokens: new Int32Array(prompt + completion).fill(token).map((value, i) => value + i),
    learned: new Uint8Array(prompt + completion).fill(1, prompt),
  });

  test('are packed: nothing is lost, nothing is learned across them', async () => {
    const examples = [example(2, 3, 100), example(1, 2, 200), example(1, 7, 300), example(3, 1, 400)];
    const [batch] = await collect(
      exampleBatches(examples, { rows: 4, length: 8, epochs: 1, shuffle: false, padToken: 9 }),
    );
    expect(batch!.tokens.shape).toEqual([3, 8]);
    expect([...batch!.tokens.data.subarray(0, 16)]).toEqual([
      100, 101, 102, 103, 200, 201, 9, 9, 300, 301, 302, 303, 304, 305, 306, 9,
    ]);
    expect([...batch!.targets.data.subarray(0, 8)]).toEqual([-100, 102, 103, 104, 201, 202, -100, -100]);
    expect([...batch!.positions.data.subarray(0, 8)]).toEqual([0, 1, 2, 3, 0, 1, 0, 0]);
    expect([...batch!.segments.data.subarray(0, 8)]).toEqual([0, 0, 0, 0, 1, 1, -1, -1]);
  });

  test('have each learned token once in an epoch, and go on from a cursor', async () => {
    const examples = Array.from({ length: 40 }, (_, i) => example(1 + (i % 3), 1 + (i % 5), 100 * i));
    for (const pack of [true, false]) {
      const options = { rows: 3, length: 9, seed: 3, pack };
      const epoch = await collect(exampleBatches(examples, { ...options, epochs: 1 }));
      const learned = epoch.flatMap(({ targets }) => [...targets.data].filter((target) => target !== -100));
      const expected = examples.flatMap(({ tokens, learned: marks }) => [...tokens].filter((_, i) => marks[i]));
      expect([...learned].sort((a, b) => a - b)).toEqual([...expected].sort((a, b) => a - b));
      const all = await collect(exampleBatches(examples, options), 20);
      for (const taken of [1, 5, 11]) {
        const first = exampleBatches(examples, options);
        await collect(first, taken);
        const { seed: _, ...rest } = options;
        expect(await collect(exampleBatches(examples, { ...rest, cursor: first.cursor }), 20 - taken)).toEqual(
          all.slice(taken),
        );
      }
    }
  });

  test('that are too long, or teach nothing, are mistakes unless said otherwise', async () => {
    const options = { rows: 2, length: 4, epochs: 1, shuffle: false };
    const long = example(2, 6, 10);
    expect(() => exampleBatches([long], options)).toThrow(/example 0 has 8 tokens, a row takes 5/);
    const [cut] = await collect(exampleBatches([long], { ...options, tooLong: 'truncate' }));
    expect([...cut!.targets.data]).toEqual([-100, 12, 13, 14]);
    const kept = await collect(exampleBatches([long, example(1, 1, 50)], { ...options, tooLong: 'skip' }));
    expect([...kept[0]!.tokens.data]).toEqual([50, 0, 0, 0]);
    expect(() => exampleBatches([example(5, 0, 1)], options)).toThrow(/nothing is learned of example 0/);
    expect(() => exampleBatches([example(6, 2, 1)], { ...options, tooLong: 'truncate' })).toThrow(
      expect.objectContaining({ code: 'ERR_EMPTY_DATA' }),
    );
    expect(() => exampleBatches([], options)).toThrow(expect.objectContaining({ code: 'ERR_EMPTY_DATA' }));
    expect(() => exampleBatches([long], { ...options, tooLong: 'cut' as never })).toThrow(/tooLong takes/);
    expect(() => exampleBatches([{ tokens: new Int32Array(3), learned: new Uint8Array(2) }], options)).toThrow(
      /3 tokens and 2 marks/,
    );
  });
});
