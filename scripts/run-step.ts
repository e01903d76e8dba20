import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Report } from './report.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Runs one named step of a check in the repository's root, its output shown as it comes; true if it succeeded. */
function run(name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): boolean {
  console.log(`\n--- ${name}`);
  const [file = '', ...args] = command;
  const started = performance.now();
  const programs = ['node_modules/.bin', 'scripts/checks/node_modules/.bin'].map((folder) => join(root, folder));
  const PATH = [...programs, process.env['PATH']].join(delimiter);
  const { status, signal, error } = spawnSync(file, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH, ...env },
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = error ? String(error) : (signal ?? `exit ${status}`);
  console.log(status === 0 ? `ok      ${name} (${seconds} s)` : `FAILED  ${name}: ${how} (${seconds} s)`);
  return status === 0;
}

/** A step that passes or fails as a whole. */
export function runCheck(name: string, command: readonly string[]): Report {
  const ok = run(name, command);
  return { counts: { passed: Number(ok), failed: Number(!ok), skipped: 0 }, notes: ok ? [] : [`FAILED   ${name}`] };
}

/** A step that counts what it does and writes its report to the file that COUNTS_FILE names. */
export function runCounted(name: string, command: readonly string[]): Report {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-counts-'));
  const file = join(folder, 'counts.json');
  try {
    const ok = run(name, command, { COUNTS_FILE: file });
    const report = readReport(file);
    if (!report)
      return { counts: { passed: 0, failed: 1, skipped: 0 }, notes: [`FAILED   ${name}: it ended without a report`] };
    if (ok || report.counts.failed > 0) return report;
    // The command itself failed, outside of anything that it counts.
    return { counts: { ...report.counts, failed: 1 }, notes: [...report.notes, `FAILED   ${name}: see its output`] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}
