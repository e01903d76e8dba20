import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Runs one named step of a check in the repository's root, its output shown as it comes; true if it succeeded. */
export function runStep(name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): boolean {
  console.log(`\n--- ${name}`);
  const [file = '', ...args] = command;
  const started = performance.now();
  const { status, signal, error } = spawnSync(file, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = error ? String(error) : (signal ?? `exit ${status}`);
  console.log(status === 0 ? `ok      ${name} (${seconds} s)` : `FAILED  ${name}: ${how} (${seconds} s)`);
  return status === 0;
}
