/**
 * Runs programs of documents in this process, one after the other, each from its own module, and writes what they printed:
 * `tsx --conditions=@heddle/source scripts/run-programs.ts RESULTS FILE...`. See `markdown-programs.test.ts`.
 */
import { appendFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { formatWithOptions } from 'node:util';

/** What came of a program, a line of JSON in the results. */
export interface ProgramResult {
  readonly file: string;
  readonly ms: number;
  /** What it printed, by the line that did. */
  readonly printed: Readonly<Record<number, readonly string[]>>;
  readonly error?: string;
}

/** `code` with its calls of console.log noting their line, counted from `first`. */
export function notingLines(code: string, first: number): string {
  return code
    .split('\n')
    .map((line, i) => line.replaceAll(/\bconsole\.log\(/g, `globalThis.printed(${first + i}, `))
    .join('\n');
}

async function main([results, ...files]: readonly string[]): Promise<void> {
  process.argv.splice(2); // programs have no arguments
  for (const file of files) {
    const printed: Record<number, string[]> = {};
    Reflect.set(globalThis, 'printed', (line: number, ...values: readonly unknown[]) => {
      printed[line] ??= [];
      printed[line].push(formatWithOptions({ colors: false }, ...values));
    });
    const start = performance.now();
    let error: string | undefined;
    try {
      await import(pathToFileURL(file).href);
    } catch (cause) {
      error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    }
    const result: ProgramResult = { file, ms: performance.now() - start, printed, ...(error && { error }) };
    appendFileSync(results!, `${JSON.stringify(result)}\n`);
  }
  process.exit(); // whatever they left open
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
