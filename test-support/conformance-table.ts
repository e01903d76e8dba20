import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';

/** Tests of features under which they are listed, in a table of SERVER.md that is kept as the tests are. */
export type Conformance = (feature: string, what: string, run: () => Promise<void>) => void;

const file = new URL('../packages/llm/SERVER.md', import.meta.url);

/** @param api the heading of the table, between `<!-- NAME -->` and `<!-- end -->` */
export function conformanceTable(api: string): Conformance {
  const rows: [string, string][] = [];
  afterAll(() => {
    const table = [
      '| what | as tested |',
      '|---|---|',
      ...rows.map(([feature, what]) => `| ${feature} | ${what} |`),
    ].join('\n');
    const text = readFileSync(file, 'utf8');
    const [begin, end] = [`<!-- ${api} -->\n`, '\n<!-- end -->'];
    const from = text.indexOf(begin) + begin.length;
    const updated = text.slice(0, from) + table + text.slice(text.indexOf(end, from));
    if (process.env['UPDATE_TABLES']) writeFileSync(file, updated);
    // another order or word of a test is another table: UPDATE_TABLES=1 writes it
    else expect(text).toBe(updated);
  });
  return (feature, what, run) => {
    rows.push([feature, what]);
    test(`${feature}: ${what}`, run, 120_000);
  };
}
