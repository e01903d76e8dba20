import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const start = fileURLToPath(new URL('./start.js', import.meta.url));

test('a signal to npm start stops the generation: it ends when what there is has been printed, with exit code 130', async () => {
  const line = ['--device', 'reference', '--max-tokens', '500', '--ignore-eos'];
  const child = spawn(process.execPath, [start, ...line], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err, sent] = ['', '', false];
  child.stdout.on('data', (chunk) => {
    out += chunk;
    if (!sent) child.kill('SIGINT');
    sent = true;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const closed = new Promise((resolve) => child.on('close', resolve));
  const code = await new Promise((resolve) => child.on('exit', resolve));
  await closed;
  expect({ code, out }).toEqual({ code: 130, out: expect.stringMatching(/^It was a cold evening, and/) });
  expect(out.length).toBeLessThan(400);
  expect(err).toMatch(/loaded in/);
}, 180_000);
