/**
 * Every public function and method, called rightly but for one place of its arguments: what cannot stand there is refused with an
 * error that has a code, begins with the name of what was called and names the option. What gives a promise rejects.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs, times } from '../test-support/properties.ts';
import { calls } from './junk/calls.ts';
import { entryFiles, faultsOfEntry } from './junk/check-entry.ts';
import { junkOf } from './junk/damage.ts';

/** One of so many damages is tried, which ones the seed says; all of them in a soak. */
const share = 4;
const { seed } = runs(1);
let place = 0;
const wanted = () => times > 1 || place++ % share === seed % share;

let device: Device;
let other: Device;
let junk: ReadonlyMap<string, unknown>;
// some functions write to the path that they are given
const own = process.cwd();
const folder = mkdtempSync(join(tmpdir(), 'heddle-damaged-'));
beforeAll(async () => {
  process.chdir(folder);
  device = await openReference();
  other = await openReference();
  const disposed = device.tensor([1]);
  disposed.dispose();
  junk = junkOf(other, disposed);
});
afterAll(async () => {
  await device.dispose();
  await other.dispose();
  process.chdir(own);
  rmSync(folder, { recursive: true, force: true });
});

const files = entryFiles();

test('each entry of each package is called', () => {
  expect([...files.keys()].sort()).toEqual(calls.map(({ specifier }) => specifier).sort());
});

describe.each(calls)('$specifier', ({ specifier, make }) => {
  test('refuses what cannot stand where it stands', { timeout: 120_000 }, async () => {
    const module = (await import(/* @vite-ignore */ files.get(specifier)!)) as Readonly<Record<string, unknown>>;
    const checking = { devices: [device, other], junk, wanted };
    expect(await faultsOfEntry(await make(device, folder), module, checking)).toEqual([]);
  });
});
