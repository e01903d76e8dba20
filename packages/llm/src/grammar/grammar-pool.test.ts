import { afterEach, describe, expect, it } from 'vitest';
import { GrammarError } from './errors.ts';
import { GrammarPool, type GrammarPoolOptions, type GrammarSequence } from './grammar-pool.ts';
import { choices, ebnf, jsonSchema, type OutputFormat, regex, structuralTags } from './output-format.ts';
import { compiled, randomNumbers, randomText, textOf, vocabulary } from './testing/vocabulary.ts';

const pools: GrammarPool[] = [];
/** Workers of TypeScript, which Node takes with a loader. */
function pool(options: Partial<GrammarPoolOptions> = {}): GrammarPool {
  const made = new GrammarPool({
    vocabulary,
    worker: new URL('./testing/start-worker.js', import.meta.url),
    ...options,
  });
  pools.push(made);
  return made;
}
afterEach(() => {
  for (const made of pools.splice(0)) made.dispose();
});

const allowed = ({ next }: GrammarSequence) =>
  [...vocabulary.keys()].filter((id) => (next.mask[id >> 5]! >>> (id & 31)) & 1);
const tokenOf = (text: string) => vocabulary.findIndex((bytes) => bytes && Buffer.from(bytes).toString() === text);
const person = jsonSchema({
  type: 'object',
  properties: { name: { type: 'string', maxLength: 20 } },
  required: ['name'],
});

/** Goes on at random until the text ends. */
async function text(grammars: GrammarPool, sequence: GrammarSequence, seed: number): Promise<string> {
  const random = randomNumbers(seed);
  const tokens: number[] = [];
  while (!(sequence.next.complete && (random() < 0.4 || allowed(sequence).length === 0))) {
    const may = allowed(sequence);
    const token = may[Math.floor(random() * may.length)]!;
    tokens.push(token);
    await grammars.step([{ sequence, accept: [token] }]);
  }
  return textOf(tokens);
}

describe('a pool of workers', () => {
  it('follows many sequences at once, each in its format', async () => {
    const grammars = pool();
    const formats = [person, regex('[a-c]{2,5}'), choices(['yes', 'no']), person, ebnf('root ::= "(" root? ")"')];
    const sequences = await Promise.all(formats.map((format) => grammars.open(format)));
    const texts = await Promise.all(sequences.map((sequence, i) => text(grammars, sequence, i)));
    expect(JSON.parse(texts[0]!)).toEqual({ name: expect.any(String) });
    expect(texts[1]).toMatch(/^[a-c]{2,5}$/);
    expect(['yes', 'no']).toContain(texts[2]);
    expect(texts[4]).toMatch(/^\(+\)+$/);
    // what workers say is what the same grammar says here
    const matcher = compiled(person).matcher();
    const again = await grammars.open(person);
    const mask = new Uint32Array(again.next.mask.length);
    matcher.addAllowed(mask);
    expect(again.next.mask).toEqual(mask);
  });

  it('takes tokens back', async () => {
    const grammars = pool({ workers: 1 });
    const sequence = await grammars.open(regex('ab*c'));
    const [a, b, c] = ['a', 'b', 'c'].map(tokenOf);
    await grammars.step([{ sequence, accept: [a!, b!, b!] }]);
    const [next] = await grammars.step([{ sequence, length: 1, accept: [c!] }]);
    expect(next).toMatchObject({ complete: true });
    expect(sequence.length).toBe(2);
  });

  it('refuses a token that may not come, in that sequence only', async () => {
    const grammars = pool({ workers: 1 });
    const [bad, good] = await Promise.all([grammars.open(regex('a+')), grammars.open(regex('a+'))]);
    const [refused, next] = await grammars.step([
      { sequence: bad!, accept: [tokenOf('b')] },
      { sequence: good!, accept: [tokenOf('a')] },
    ]);
    expect(refused).toBeInstanceOf(GrammarError);
    expect(next).toMatchObject({ complete: true });
  });

  it('a sequence that was closed changes nothing for the others of its turn', async () => {
    const grammars = pool({ workers: 1 });
    const [closed, open] = await Promise.all([grammars.open(regex('a+')), grammars.open(regex('a+'))]);
    grammars.close(closed!);
    const accept = [tokenOf('a')];
    const [gone, next] = await Promise.allSettled([
      grammars.next({ sequence: closed!, accept }),
      grammars.next({ sequence: open!, accept }),
    ]);
    expect(gone).toMatchObject({ status: 'rejected', reason: expect.any(GrammarError) });
    expect(next).toMatchObject({ status: 'fulfilled', value: { complete: true } });
  });

  it('refuses what is wrong with the cause, and goes on', async () => {
    const grammars = pool({ workers: 1 });
    await expect(grammars.open(jsonSchema({ not: {} }))).rejects.toThrow("keyword 'not' is not supported");
    await expect(grammars.open(ebnf('root ::='))).resolves.toMatchObject({ next: { complete: true } });
    expect(() => choices('yes' as never)).toThrow('choices: takes a list of texts, got string yes');
    await expect(grammars.open({ kind: 'poem' } as unknown as OutputFormat)).rejects.toThrow(
      /^format: takes what jsonSchema\(\), .* got an object of kind 'poem'/,
    );
    await expect(grammars.open('json' as never)).rejects.toThrow('got string json');
  });

  it('a format that takes too long ends alone: the others go on where they were', async () => {
    const grammars = pool({ workers: 1, milliseconds: 1000 });
    const sequence = await grammars.open(person);
    await grammars.step([{ sequence, accept: [tokenOf('{')] }]);
    const before = sequence.next.mask;
    // what may come next depends on every letter so far, in hundreds of ways
    const letters = [...'abcdefghijklmnopqrstuvwxyz'];
    const some = (i: number) => letters.filter((_, j) => (i * 7919 + j * j * 31 + i * j) % 5 < 2).join('');
    const slow = ebnf(`root ::= ${Array.from({ length: 500 }, (_, i) => `[a-z]* [${some(i)}] [a-z]{16}`).join(' | ')}`);
    await expect(grammars.open(slow)).rejects.toMatchObject({
      code: 'ERR_GRAMMAR_LIMIT',
      message: 'grammar: takes at most 1000 ms, got more',
    });
    await grammars.step([{ sequence, accept: [] }]);
    expect(sequence.next.mask).toEqual(before);
    expect(sequence.length).toBe(1);
    await expect(text(grammars, await grammars.open(regex('[a-c]{2}')), 1)).resolves.toMatch(/^[a-c]{2}$/);
  }, 60_000);

  it('says when it was disposed of', async () => {
    const grammars = pool();
    const sequence = await grammars.open(regex('a'));
    grammars.dispose();
    grammars.dispose();
    await expect(grammars.open(regex('a'))).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    await expect(grammars.step([{ sequence, accept: [] }])).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(() => new GrammarPool({ vocabulary, workers: 0 })).toThrow(/workers/);
  });
});

describe('tags in free text', () => {
  const tools = structuralTags({
    tags: [
      { begin: '<call=add>', content: jsonSchema({ type: 'integer' }), end: '</call>' },
      { begin: '<call=say>', content: regex('[a-z]+'), end: '</call>' },
    ],
    triggers: ['<call='],
  });
  const follows = (of: OutputFormat, ...pieces: string[]) => {
    const matcher = compiled(of).matcher();
    try {
      for (const byte of new TextEncoder().encode(pieces.join('')))
        matcher.accept(vocabulary.findIndex((bytes) => bytes?.length === 1 && bytes[0] === byte));
    } catch {
      return false;
    }
    return matcher.complete;
  };
  it.each([
    ['some <text> without < calls', true],
    ['a <call=add>12</call> and <call=say>hi</call>', true],
    ['<<call=add>0</call>', true],
    ['<call=add>x</call>', false],
    ['<call=sub>1</call>', false],
    ['<call=add>1', false],
    ['', true],
  ])('%s: %s', (of, fits) => {
    expect(follows(tools, of)).toBe(fits);
  });
  it('may be asked for, and be the end', () => {
    const one = { ...tools, atLeastOne: true, stopAfterFirst: true } as OutputFormat;
    expect(follows(one, 'so: <call=add>1</call>')).toBe(true);
    expect(follows(one, 'so')).toBe(false);
    expect(follows(one, '<call=add>1</call>.')).toBe(false);
  });
  it('texts at random hold whole calls only', () => {
    for (let seed = 0; seed < 20; seed++) {
      const of = randomText(tools, randomNumbers(seed), 60);
      if (of !== undefined) expect(of.replace(/<call=(add>-?\d+|say>[a-z]+)<\/call>/g, '')).not.toContain('<call=');
    }
  });
  it.each([
    [{ tags: [] }, 'at least one tag'],
    [{ tags: [{ begin: '<a>', content: regex('a'), end: '' }], triggers: ['<b'] }, 'each tag begins with a trigger'],
    [{ tags: [{ begin: '<a>', content: regex('a'), end: '' }], triggers: ['<a', '<'] }, 'no trigger holds another'],
    [{ tags: [{ begin: '', content: regex('a'), end: '' }] }, 'at least one character'],
  ])('refuses %j', (tags, message) => {
    expect(() => compiled(structuralTags(tags))).toThrow(message);
  });
});
