import type { Fault } from './fault.ts';

/** A fault with the files that it is about, as paths from the root. */
export interface LocatedFault extends Fault {
  readonly path: string;
  readonly testPaths: readonly string[];
}

/**
 * Finds the files of a fault among `files`, and its text in them.
 *
 * @throws Error if a file is not there or not the only one, or if the text does not occur exactly once
 */
export function locate(fault: Fault, files: readonly string[], read: (path: string) => string): LocatedFault {
  const where = `fault '${fault.breaks}' (${fault.file})`;
  const only = (name: string): string => {
    const found = files.filter((path) => path === name || path.endsWith(`/${name}`));
    if (found.length === 1) return found[0]!;
    throw new Error(`${where}: ${name} should be one file, found ${found.length === 0 ? 'none' : found.join(', ')}`);
  };
  const path = only(fault.file);
  const text = read(path);
  const times = text.split(fault.find).length - 1;
  if (times !== 1)
    throw new Error(`${where}: its text should occur once in ${path}, occurs ${times} times: ${fault.find}`);
  if (fault.put === fault.find) throw new Error(`${where}: it changes nothing`);
  return { ...fault, path, testPaths: fault.tests.map(only) };
}
