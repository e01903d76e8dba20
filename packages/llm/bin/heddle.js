#!/usr/bin/env node
// Starts the command in a process of its own: on Linux with settings of the C library's allocator that ONNX Runtime is
// several times faster with (they are read once, when a process starts), in a checkout from its TypeScript sources.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = new URL('../src/command/cli.ts', import.meta.url);
const inCheckout = !import.meta.url.includes('/node_modules/') && existsSync(source);
const entry = fileURLToPath(inCheckout ? source : new URL('../dist/command/cli.js', import.meta.url));
const flags = inCheckout ? ['--import', import.meta.resolve('tsx'), '--conditions=@heddle/source'] : [];
const allocator = {
  MALLOC_MMAP_THRESHOLD_: '4294967296',
  MALLOC_TRIM_THRESHOLD_: '4294967296',
  MALLOC_TOP_PAD_: '268435456',
};
const env = process.platform === 'linux' ? { ...allocator, ...process.env } : process.env;
const child = spawn(process.execPath, [...process.execArgv, ...flags, entry, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env,
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`heddle: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
