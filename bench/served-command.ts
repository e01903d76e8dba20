import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The command as it is installed: what is built, not the sources of the checkout. */
const command = fileURLToPath(new URL('../../node_modules/@heddle/llm/bin/heddle.js', import.meta.url));

/** The first line that a program writes. */
export async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout!) {
    text += String(chunk);
    if (text.includes('\n')) return text.slice(0, text.indexOf('\n'));
  }
  throw new Error('it ended before it said anything');
}

/** Lets a program end. */
export async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

/**
 * Milliseconds from the start of `heddle serve` with these arguments to its first token.
 * @param model its name
 */
export async function startToFirstToken(model: string, args: readonly string[]): Promise<number> {
  const began = performance.now();
  const all = ['--preserve-symlinks-main', command, 'serve', ...args, '--port', '0', '--quiet', '--json'];
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const { url } = JSON.parse(await firstLine(child)) as { readonly url: string };
    const response = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: [3, 4, 5, 6], max_tokens: 1, temperature: 0, ignore_eos: true }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text}`);
    return performance.now() - began;
  } finally {
    await ended(child);
  }
}
