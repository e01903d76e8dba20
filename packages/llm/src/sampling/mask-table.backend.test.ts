import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { MaskTable } from './mask-table.ts';

conformance('masks of tokens', (device) => {
  test('those of a step are written together, the last one of a row; rows that have none stay as they are', async () => {
    const table = new MaskTable(device(), { name: 'masks', rows: 4, width: 3 });
    const read = async () => [...((await table.rows(device().arange(4)).data()) as Uint32Array)];
    expect(table.send()).toBeUndefined();
    table.stage(2, Uint32Array.of(1, 2, 3));
    table.stage(0, Uint32Array.of(4, 5, 0xffffffff, 9)); // longer than the vocabulary
    table.stage(2, Uint32Array.of(7));
    const first = table.send()!;
    // while the first write may still be on its way
    table.stage(3, Uint32Array.of(8, 8, 8));
    table.stage(0, Uint32Array.of(6, 6, 6));
    await Promise.all([first, table.send()]);
    expect(await read()).toEqual([6, 6, 6, 0, 0, 0, 7, 0, 0, 8, 8, 8]);
    table.stage(1, Uint32Array.of(1, 1, 1));
    await table.send();
    expect(await read()).toEqual([6, 6, 6, 1, 1, 1, 7, 0, 0, 8, 8, 8]);
    table.dispose();
  });
});
