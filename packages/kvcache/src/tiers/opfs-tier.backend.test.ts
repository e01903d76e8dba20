import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { opfsTier } from '../index.ts';

interface OwnFiles {
  getDirectoryHandle(name: string, options: { readonly create: true }): Promise<Parameters<typeof opfsTier>[0]>;
  removeEntry(name: string, options: { readonly recursive: true }): Promise<void>;
}

conformance('blocks in the file system of a browser', () => {
  test('are written, replaced, read and deleted', async (context) => {
    const { navigator } = globalThis as { navigator?: { storage?: { getDirectory?(): Promise<OwnFiles> } } };
    if (!navigator?.storage?.getDirectory) return context.skip('there is no file system of a browser here');
    const root = await navigator.storage.getDirectory();
    const tier = opfsTier(await root.getDirectoryHandle('kv test', { create: true }));
    const bytes = Uint8Array.of(1, 2, 3);
    expect(await tier.read(['a'])).toEqual([undefined]);
    await tier.write([
      { key: 'a', bytes: Uint8Array.of(9, 9, 9, 9) },
      { key: 'b', bytes },
    ]);
    await tier.write([{ key: 'a', bytes }]);
    expect(await tier.read(['a', 'c', 'b'])).toEqual([bytes, undefined, bytes]);
    await tier.delete(['a', 'c']);
    expect(await tier.read(['a', 'b'])).toEqual([undefined, bytes]);
    await root.removeEntry('kv test', { recursive: true });
  });
});
