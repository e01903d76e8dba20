/**
 * Every exported function of every entry, called with what it does not take: it may do something with it, or refuse it with an
 * error that has a code. What a person without an editor's help gets wrong must not end as `Cannot read properties of undefined`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Device, isHeddleError, type Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../test-support/properties.ts';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));

/** Functions that are not called, and why. */
const leftOut: Readonly<Record<string, string>> = {
  '@heddle/llm/serve workerModel': 'starts processes',
  '@heddle/tensor matrixFragment': 'is asked by kernels, of what a device can do',
  '@heddle/tensor threefryWords': 'writes kernels: its arguments are arithmetic in some language',
};

let device: Device;
let tensor: Tensor;
// some functions write folders and files of the name that they are given
const folder = process.cwd();
const scratch = mkdtempSync(join(tmpdir(), 'heddle-junk-'));
beforeAll(async () => {
  process.chdir(scratch);
  device = await openReference();
  tensor = device.tensor([1, 2]);
});
afterAll(async () => {
  await device.dispose();
  process.chdir(folder);
  rmSync(scratch, { recursive: true, force: true });
});

const junk = () =>
  fc.oneof(
    fc.constantFrom<unknown>(undefined, null, 5, -1, 0.5, Number.NaN, 'text', '', true),
    fc
      .constantFrom<() => unknown>(
        () => ({}),
        () => [],
        () => ({ unknown: 1 }),
        () => () => undefined,
        () => new Float32Array(2),
        () => new Date(0),
        () => device,
        () => tensor,
      )
      .map((make) => make()),
  );

/** The error of a call, if it is none that a person can read. */
async function untyped(call: () => unknown, isContract: boolean): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const given = call();
    const result = await Promise.race([
      Promise.resolve(given),
      new Promise((resolve) => {
        timer = setTimeout(resolve, 3000);
      }),
    ]);
    const made = result as
      | Partial<AsyncIterable<unknown> & { dispose(): unknown; close(): unknown }>
      | undefined
      | null;
    if (typeof made === 'object' && made !== null) {
      if (made !== (device as unknown) && made !== (tensor as unknown) && typeof made.dispose === 'function')
        await made.dispose();
      if (typeof made[Symbol.asyncIterator] === 'function') await made[Symbol.asyncIterator]!().next();
    }
    return undefined;
  } catch (error) {
    // a contract that is broken says so with an error of its own
    if (isContract && (error as Error | undefined)?.name === 'ContractError') return undefined;
    return isHeddleError(error) ? undefined : error;
  } finally {
    clearTimeout(timer);
  }
}

const entries = readdirSync(packages).flatMap((folder) => {
  const { name, exports } = JSON.parse(readFileSync(`${packages}${folder}/package.json`, 'utf8')) as {
    name: string;
    exports: Record<string, { '@heddle/source': string }>;
  };
  return Object.entries(exports).map(([entry, conditions]) => ({
    specifier: `${name}${entry.slice(1)}`,
    file: `${packages}${folder}/${conditions['@heddle/source']}`,
  }));
});

describe.each(entries)('$specifier', ({ specifier, file }) => {
  test('answers junk with errors of its own', async () => {
    const module = (await import(/* @vite-ignore */ file)) as Record<string, unknown>;
    const failures: string[] = [];
    for (const [name, value] of Object.entries(module)) {
      if (typeof value !== 'function' || /^class\b/.test(Function.prototype.toString.call(value))) continue;
      if (`${specifier} ${name}` in leftOut) continue;
      const property = fc.asyncProperty(fc.array(junk(), { maxLength: 4 }), async (args) => {
        const error = await untyped(
          () => (value as (...args: unknown[]) => unknown)(...args),
          specifier.endsWith('/testing'),
        );
        if (error) throw error;
      });
      const result = await fc.check(property, { ...runs(40), endOnFailure: true });
      if (result.failed)
        failures.push(
          `${name}(${fc.stringify(result.counterexample?.[0]).slice(1, -1).slice(0, 80)}): ${String(result.errorInstance).split('\n')[0]}`,
        );
    }
    expect(failures).toEqual([]);
  });
});
