import type { HubProgress } from '../hub/hub-options.ts';
import { pullModel } from '../hub/pull-model.ts';
import { bytesText } from '../inspect/units.ts';
import { flag, parse, text } from './options/option-values.ts';
import { UsageError } from './options/usage.ts';

export interface PullCommand {
  readonly model: string;
  readonly json: boolean;
}

/** @throws UsageError naming the option, what it takes and what came */
export function parsePull(args: readonly string[]): PullCommand {
  const { model, json = false } = parse(args, { model: text, json: flag });
  if (!model) throw new UsageError('pull needs --model owner/name[@revision], or owner/name:file.gguf');
  return { model, json };
}

/** `heddle pull`: fetches a model into the cache, and prints where it lies. */
export async function pullCommand({ model, json }: PullCommand, signal: AbortSignal): Promise<number> {
  const bar = progressBar();
  try {
    const pulled = await pullModel(model, { signal, onProgress: bar.show });
    bar.end();
    process.stdout.write(json ? `${JSON.stringify(pulled)}\n` : `${pulled.path}\n`);
    return 0;
  } finally {
    bar.end();
  }
}

/** A line on standard error that is written anew, at most ten times a second; nothing where that is no terminal. */
export function progressBar(): { show(progress: HubProgress): void; end(): void } {
  let [shownAt, length] = [0, 0];
  return {
    show(progress) {
      const now = performance.now();
      const isDone = progress.loadedFiles === progress.totalFiles;
      if (!process.stderr.isTTY || (now - shownAt < 100 && !isDone)) return;
      shownAt = now;
      const line = progressLine(progress);
      process.stderr.write(`\r${line.padEnd(length)}`);
      length = line.length;
    },
    end() {
      if (length > 0) process.stderr.write('\n');
      length = 0;
    },
  };
}

/** How far a model is fetched, in one line of a terminal. */
export function progressLine({ loadedBytes, totalBytes, loadedFiles, totalFiles }: HubProgress): string {
  const share = totalBytes === 0 ? 1 : loadedBytes / totalBytes;
  const full = Math.round(30 * share);
  const bar = `${'#'.repeat(full)}${'.'.repeat(30 - full)}`;
  return `[${bar}] ${(100 * share).toFixed(0)}% ${bytesText(loadedBytes)} of ${bytesText(totalBytes)}, ${loadedFiles} of ${totalFiles} files`;
}
