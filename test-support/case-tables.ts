import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';

/** Where tensor's operations stand, each with its table of cases beside it. */
export const operationsFolder: URL = new URL('../packages/tensor/src/ops/', import.meta.url);

/** A table of cases: `file` is its path within the folder of operations. */
export interface CaseTable {
  readonly file: string;
  readonly cases: readonly Case[];
}

/** The modules in the folder of operations and in all folders below it whose path ends with `ending`, in order. */
export async function operationFiles(ending: string): Promise<string[]> {
  const files = await readdir(fileURLToPath(operationsFolder), { recursive: true });
  return files
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith(ending))
    .sort();
}

/** Every table of cases. */
export async function caseTables(): Promise<CaseTable[]> {
  const tables = (await operationFiles('.cases.ts')).map(async (file): Promise<CaseTable> => {
    const module = (await import(new URL(file, operationsFolder).href)) as Record<string, readonly Case[]>;
    return { file, cases: Object.values(module).flat() };
  });
  return Promise.all(tables);
}
