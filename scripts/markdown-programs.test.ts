import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { documents } from './documents.ts';
import { markdownBlocks, notRunWords } from './markdown-blocks.ts';
import { notingLines, type ProgramResult } from './run-programs.ts';
import { tableProgram } from './table-program.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** A block that is run, as a file. */
interface Program {
  readonly place: string;
  readonly code: string;
  readonly line: number;
  readonly file: string;
}

/** Blocks that are programs, written into `folder`. */
function programsIn(folder: string): Program[] {
  return documents.flatMap((document) =>
    markdownBlocks(readFileSync(join(root, document), 'utf8'))
      .filter(({ notRun }) => notRun === undefined)
      .map(({ line, code }) => {
        const place = `${document}:${line}`;
        const file = join(folder, `${place.replaceAll(/\W+/g, '-')}.ts`);
        writeFileSync(file, `${notingLines(code, line)}\nexport {};\n`);
        return { place, code, line, file };
      }),
  );
}

const words = (text: string) => text.trim().replaceAll(/\s+/g, ' ');

/** Lines that print something else than the comment behind them says. */
function differences({ place, code, line: first }: Program, { printed, error }: ProgramResult): string[] {
  if (error) return [`${place}: ${error}`];
  return code.split('\n').flatMap((line, i) => {
    const claim = /console\.log\(.*\);? \/\/ (.*)$/.exec(line)?.[1];
    if (claim === undefined) return [];
    const got = words((printed[first + i] ?? []).join(', '));
    return got === words(claim) ? [] : [`${place}, line ${first + i} prints ${got}`];
  });
}

test('a block that is not run says why', () => {
  const unknown = documents.flatMap((document) =>
    markdownBlocks(readFileSync(join(root, document), 'utf8'))
      .filter(({ notRun }) => notRun !== undefined && !(notRun in notRunWords))
      .map(({ line, notRun }) => `${document}:${line}: ${notRun}`),
  );
  expect(unknown, `the words are ${Object.keys(notRunWords).join(', ')}`).toEqual([]);
});

test('the programs of the documents run, and print what they say', async () => {
  const folder = join(root, 'node_modules/.cache/programs');
  const cwd = mkdtempSync(join(tmpdir(), 'heddle-programs-'));
  const results = join(cwd, 'results.jsonl');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  for (const name of ['examples', 'node_modules']) symlinkSync(join(root, name), join(cwd, name));
  try {
    const programs = [...programsIn(folder), tableProgram(folder)];
    expect(programs.length).toBeGreaterThan(25);
    const args = ['--conditions=@heddle/source', join(root, 'scripts/run-programs.ts'), results];
    const ran = await promisify(execFile)(
      join(root, 'node_modules/.bin/tsx'),
      [...args, ...programs.map(({ file }) => file)],
      {
        cwd,
        timeout: 100_000,
        maxBuffer: 2 ** 26,
      },
    ).catch((error: Error & { stderr?: string }) => error);
    const lines = existsSync(results) ? readFileSync(results, 'utf8').trim().split('\n') : [];
    const done = lines.map((line) => JSON.parse(line) as ProgramResult);
    const wrong = programs.flatMap((program) => {
      const result = done.find(({ file }) => file === program.file);
      return result ? differences(program, result) : [`${program.place} came to no end: ${ran.stderr}`];
    });
    for (const { file, ms } of done) if (process.env['PROGRAM_TIMES']) console.log(Math.round(ms), basename(file));
    expect(wrong).toEqual([]);
  } finally {
    rmSync(cwd, { recursive: true });
  }
}, 120_000);
