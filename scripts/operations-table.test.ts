import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { operationsTable, readmePath, withTable } from './operations-table.ts';

test('the table of operations in the README is that of the tests (npx tsx --conditions=@heddle/source scripts/operations-table.ts writes it)', async () => {
  const readme = await readFile(readmePath, 'utf8');
  const table = await operationsTable();
  expect(table.split('\n').length).toBeGreaterThan(100);
  expect(table).toContain('| `expm1` | lowered | decomposed | decomposed | f32, f16 | yes |');
  expect(withTable(readme, table)).toBe(readme);
});
