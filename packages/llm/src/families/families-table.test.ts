import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { families } from '../families.ts';
import { ggufFamilies } from '../gguf/gguf-families.ts';

const readme = new URL('../../README.md', import.meta.url);
const checkpoints = new URL('../../../../test-support/checkpoints/', import.meta.url);

/** Checkpoints by the family that they are of, from their configurations. */
function checkpointsOf(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { name } of readdirSync(checkpoints, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const path = new URL(`${name}/config.json`, checkpoints);
    if (!readdirSync(new URL(`${name}/`, checkpoints)).includes('expected.safetensors')) continue;
    const { architectures } = JSON.parse(readFileSync(path, 'utf8')) as { architectures: [string] };
    found.set(architectures[0], [...(found.get(architectures[0]) ?? []), name]);
  }
  return found;
}

/** Families that GGUF files may be of, by whatever keys they have. */
const inGguf = new Set(
  Object.values(ggufFamilies).flatMap((of) =>
    ['', 'expert_count', 'attention.sliding_window'].map((key) => of((name) => name === key).architecture),
  ),
);

test('the README says of each family what files it is read from and what it is compared with', () => {
  const tested = checkpointsOf();
  // a checkpoint that no test loads is none
  const source = readFileSync(new URL('./families.backend.test.ts', import.meta.url), 'utf8');
  const text = readFileSync(readme, 'utf8');
  const rows = new Map(families.map(({ architecture }) => [architecture, architecture]));
  const updated = text.replace(
    /^(\| [^|]+ \| `(\w+)` \| [^|]+ \|).*$/gm,
    (row, start: string, architecture: string) => {
      if (!rows.delete(architecture)) return row;
      const checked = (tested.get(architecture) ?? []).filter((name) => source.includes(`'own/${name}'`));
      const formats = inGguf.has(architecture) ? 'safetensors, GGUF' : 'safetensors';
      return `${start} ${formats} | ${checked.map((name) => `\`${name}\``).join(', ') || 'the code of Mistral'} |`;
    },
  );
  expect([...rows.keys()]).toEqual([]);
  if (process.env['UPDATE_TABLES'] === '1') writeFileSync(readme, updated);
  expect(updated === text, 'the table is stale: UPDATE_TABLES=1 with this test writes it').toBe(true);
});
