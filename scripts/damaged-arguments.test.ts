/**
 * Every public function and method, called rightly but for one place of its arguments: what cannot stand there is refused with an
 * error that has a code, begins with the name of what was called and names the option. What gives a promise rejects.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs, times } from '../test-support/properties.ts';
import { calls } from './junk/calls.ts';
import { junkOf } from './junk/damage.ts';
import { faultsOf } from './junk/judge.ts';
import { type CallsOf, methodsOf } from './junk/valid-call.ts';

const packages = fileURLToPath(new URL('../packages/', import.meta.url));
/** One of so many damages is tried, which ones the seed says. */
const share = 4;
const { seed } = runs(1);

let device: Device;
let other: Device;
let junk: ReadonlyMap<string, unknown>;
beforeAll(async () => {
  device = await openReference();
  other = await openReference();
  const disposed = device.tensor([1]);
  disposed.dispose();
  junk = junkOf(other, disposed);
});
afterAll(async () => {
  await device.dispose();
  await other.dispose();
});

const isClass = (value: object) => /^class\b/.test(Function.prototype.toString.call(value));
const isFunction = (value: unknown): value is (...args: readonly unknown[]) => unknown => typeof value === 'function';

async function moduleOf(specifier: string): Promise<Readonly<Record<string, unknown>>> {
  for (const folder of readdirSync(packages)) {
    const { name, exports } = JSON.parse(readFileSync(`${packages}${folder}/package.json`, 'utf8')) as {
      name: string;
      exports: Record<string, { '@heddle/source': string }>;
    };
    if (specifier !== name && !specifier.startsWith(`${name}/`)) continue;
    return import(
      /* @vite-ignore */ `${packages}${folder}/${exports[`.${specifier.slice(name.length)}`]!['@heddle/source']}`
    );
  }
  throw new Error(`no package has ${specifier}`);
}

const nameOf = (entry: string) => entry.split(':')[0]!;

describe.each(calls)('$specifier', ({ specifier, make }) => {
  test('refuses what cannot stand where it stands', { timeout: 120_000 }, async () => {
    const { functions, leftOut = {}, objects = [] }: CallsOf = await make(device);
    const module = await moduleOf(specifier);
    const faults: string[] = [];
    let place = 0;
    const checking = {
      junk,
      kept: new Set<unknown>([device, other, ...objects.map(({ of }) => of)]),
      // all of them in a soak
      wanted: () => times > 1 || place++ % share === seed % share,
    };
    const isKnown = (entries: object, left: object) =>
      new Set([...Object.keys(entries).map(nameOf), ...Object.keys(left)]);
    const known = isKnown(functions, leftOut);
    for (const [name, value] of Object.entries(module))
      if (isFunction(value) && !isClass(value) && !known.has(name)) faults.push(`${name}: has no valid call`);
    for (const [entry, call] of Object.entries(functions)) {
      const value = module[nameOf(entry)];
      if (!isFunction(value)) faults.push(`${entry}: is no function of ${specifier}`);
      else faults.push(...(await faultsOf({ name: nameOf(entry), call: value }, call, checking)));
    }
    for (const { of, on, methods, leftOut: left = {} } of objects) {
      const there = isKnown(methods, left);
      for (const name of methodsOf(await on())) if (!there.has(name)) faults.push(`${of}.${name}: has no valid call`);
      for (const [entry, call] of Object.entries(methods)) {
        const invoke = async () => {
          const object = (await on()) as Readonly<Record<string, unknown>>;
          const method = object[nameOf(entry)] as (...args: readonly unknown[]) => unknown;
          return (...args: readonly unknown[]) => method.apply(object, [...args]);
        };
        faults.push(
          ...(await faultsOf({ name: nameOf(entry), prepare: invoke }, call, checking)).map(
            (fault) => `${of}.${fault}`,
          ),
        );
      }
    }
    expect(faults).toEqual([]);
  });
});
