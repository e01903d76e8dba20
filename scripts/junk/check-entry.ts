import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Device } from '@heddle/tensor';
import { faultsOf } from './judge.ts';
import { type CallsOf, methodsOf } from './valid-call.ts';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));

/** The files of all entries of all packages, by what imports them. */
export function entryFiles(): ReadonlyMap<string, string> {
  const files = readdirSync(packages).flatMap((folder) => {
    const { name, exports } = JSON.parse(readFileSync(`${packages}${folder}/package.json`, 'utf8')) as {
      name: string;
      exports: Record<string, { '@heddle/source': string }>;
    };
    return Object.entries(exports).map(
      ([entry, conditions]) =>
        [`${name}${entry.slice(1)}`, `${packages}${folder}/${conditions['@heddle/source']}`] as const,
    );
  });
  return new Map(files);
}

const isClass = (value: object) => /^class\b/.test(Function.prototype.toString.call(value));
const isFunction = (value: unknown): value is (...args: readonly unknown[]) => unknown => typeof value === 'function';
const nameOf = (entry: string) => entry.split(':')[0]!;
const namesOf = (entries: object, left: object) => new Set([...Object.keys(entries).map(nameOf), ...Object.keys(left)]);

/** What is wrong with how an entry of a package answers damaged arguments. */
export async function faultsOfEntry(
  { functions, leftOut = {}, objects = [], specifier }: CallsOf,
  module: Readonly<Record<string, unknown>>,
  {
    devices,
    ...rest
  }: {
    readonly devices: readonly Device[];
    readonly junk: ReadonlyMap<string, unknown>;
    /** Which damages are tried. */
    readonly wanted: () => boolean;
  },
): Promise<string[]> {
  const faults: string[] = [];
  const checking = { ...rest, kept: new Set<unknown>([...devices, ...objects.map(({ of }) => of)]) };
  const known = namesOf(functions, leftOut);
  for (const [name, value] of Object.entries(module))
    if (isFunction(value) && !isClass(value) && !known.has(name)) faults.push(`${name}: has no valid call`);
  for (const [entry, call] of Object.entries(functions)) {
    const value = module[nameOf(entry)];
    if (!isFunction(value)) faults.push(`${entry}: is no function of ${specifier}`);
    else faults.push(...(await faultsOf({ name: nameOf(entry), call: value }, call, checking)));
  }
  for (const { of, on, methods, leftOut: left = {} } of objects) {
    const there = namesOf(methods, left);
    for (const name of methodsOf(await on())) if (!there.has(name)) faults.push(`${of}.${name}: has no valid call`);
    for (const [entry, call] of Object.entries(methods)) {
      const prepare = async () => {
        const object = (await on()) as Readonly<Record<string, unknown>>;
        const method = object[nameOf(entry)] as (...args: readonly unknown[]) => unknown;
        return (...args: readonly unknown[]) => method.apply(object, [...args]);
      };
      const found = await faultsOf({ name: nameOf(entry), prepare }, call, checking);
      faults.push(...found.map((fault) => `${of}.${fault}`));
    }
  }
  return faults;
}
