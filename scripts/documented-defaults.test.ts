import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { givenDefaults, type StatedDefault, statedDefaults, tabledDefaults } from './documented-defaults.ts';
import { repositoryFiles } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

it('a default that a comment states is the one that the code takes', () => {
  const sources = repositoryFiles(root).filter(
    (file) => /^packages\/[^/]+\/src\/.*\.ts$/.test(file) && !/\.(test|cases)\.ts$/.test(file),
  );
  const texts = new Map(sources.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
  const given = new Map([...texts].map(([file, text]) => [file, givenDefaults(text)]));
  const valuesOf = (name: string, all: readonly StatedDefault[]) =>
    new Set(all.filter((own) => own.name === name).map(({ value }) => value));
  const wrong: string[] = [];
  let compared = 0;
  for (const [file, text] of texts)
    for (const { name, value } of statedDefaults(text)) {
      // the nearest code that has a default for the name: of its file, its folder, or the one around that
      const near = [file, `${dirname(file)}/`, `${dirname(dirname(file))}/`].map((place) => {
        const all = [...given].filter(([own]) => own.startsWith(place)).flatMap(([, defaults]) => defaults);
        return valuesOf(name, all);
      });
      const values = [...near, valuesOf(name, tabledDefaults(text))].find(({ size }) => size > 0);
      if (!values) continue;
      compared++;
      if (!values.has(value)) wrong.push(`${file}: ${name} is ${value} by its comment, ${[...values]} by the code`);
    }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(160);
});

it.each<[string, StatedDefault[]]>([
  ['/** Rows. Default 1,024. */\n  readonly rows?: number;', [{ name: 'rows', value: '1024' }]],
  ["/** Rows. Default: 'a b'. */ name?: string", [{ name: 'name', value: "'a b'" }]],
  ['/** Bytes. Default 8 MiB. */ bytes?: number', [{ name: 'bytes', value: String(2 ** 23) }]],
  ['/** Room, and `more` of it (default 32). */', [{ name: 'more', value: '32' }]],
  ['/** @param options.pool how many. Default 7 */', [{ name: 'pool', value: '7' }]],
  ['/** Rates; [0.9, 0.99] where not named. */ betas?: number[]', [{ name: 'betas', value: '[0.9, 0.99]' }]],
  ['/** 4,096 where not named. */ tokens?: number', [{ name: 'tokens', value: '4096' }]],
  ['/** `index` (-1 where not named). */', [{ name: 'index', value: '-1' }]],
  ['/** 1e-5 of some. By default 1e-5 of some, 1 of others. */ part?: number', []],
  ['/** Default none. */ none?: number; /** Default `other`. */ other?: number', []],
])('finds what is stated: %s', (source, expected) => {
  expect(statedDefaults(source)).toEqual(expected);
});

it('finds what is given', () => {
  const source =
    "const { a = 3, b: c = 'x' } = options; f(options.bytes ?? 8 * 2 ** 20); let d = 4; const e = { f: 1 };";
  expect(givenDefaults(source)).toEqual([
    { name: 'a', value: '3' },
    { name: 'b', value: "'x'" },
    { name: 'bytes', value: String(2 ** 23) },
  ]);
});
