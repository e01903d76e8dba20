import { readFile } from 'node:fs/promises';
import { ArgumentError, openDevice } from '@heddle/tensor';
import { openEngine } from '../engine/default-engine.ts';
import { loadModel } from '../load-model.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import { type BenchRow, benchRow } from './measure/bench-run.ts';
import type { BenchCommand } from './options/bench-options.ts';
import { progressBar } from './pull.ts';

interface Report {
  readonly device: string;
  readonly rows: readonly BenchRow[];
}

/** `heddle bench`: how fast prompts are computed and tokens follow, at lengths and batches; beside another measurement. */
export async function benchCommand(command: BenchCommand, signal: AbortSignal): Promise<number> {
  const before = command.compare === undefined ? undefined : await readReport(command.compare);
  const device = await openDevice(command.device, { webgpu: gpuEnvironment() });
  try {
    const bar = progressBar();
    const onProgress = () => signal.throwIfAborted();
    const loading = {
      device,
      hub: { signal, onProgress: bar.show },
      onProgress,
      ...(command.dtype && { dtype: command.dtype }),
    };
    const model = await loadModel(command.model, loading).finally(bar.end);
    try {
      const { newTokens, runs } = command;
      const longest = Math.max(...command.promptTokens) + newTokens;
      if (longest > model.config.maxPositions)
        throw new ArgumentError(
          `bench: prompts and new tokens together are ${longest}, the model's context is ${model.config.maxPositions}`,
        );
      const engine = openEngine(model, { maxSequences: Math.max(...command.batches), maxSequenceTokens: longest });
      try {
        const rows: BenchRow[] = [];
        for (const promptTokens of command.promptTokens)
          for (const batch of command.batches)
            rows.push(
              await benchRow(engine, model.config.vocabularySize, { promptTokens, batch, newTokens, runs }, signal),
            );
        const report = { device: `${device.name}: ${device.description}`, rows };
        process.stdout.write(command.json ? `${JSON.stringify(report)}\n` : tableOf(report, before));
        return 0;
      } finally {
        await engine.dispose();
      }
    } finally {
      await model.dispose();
    }
  } finally {
    await device.dispose();
  }
}

const columns = ['first_token_ms', 'prefill_tokens_per_s', 'decode_tokens_per_s'] as const;

function tableOf({ device, rows }: Report, before: Report | undefined): string {
  const headings = ['prompt', 'batch', 'first ms', 'prefill/s', 'decode/s'];
  const lines = rows.map((row) => {
    const other = before?.rows.find((each) => each.prompt_tokens === row.prompt_tokens && each.batch === row.batch);
    const figures = columns.map((name) => {
      const ratio = other ? ` (${(row[name] / other[name]).toFixed(2)})` : '';
      return `${row[name].toFixed(row[name] < 100 ? 1 : 0)}${ratio}`;
    });
    return [String(row.prompt_tokens), String(row.batch), ...figures];
  });
  const widths = headings.map((heading, i) => Math.max(heading.length, ...lines.map((line) => line[i]!.length)));
  const line = (cells: readonly string[]) => `${cells.map((cell, i) => cell.padStart(widths[i]!)).join('  ')}\n`;
  return `${device}\n${line(headings)}${lines.map(line).join('')}`;
}

/** @throws ArgumentError for a file that is no report */
async function readReport(path: string): Promise<Report> {
  let given: Partial<Report> | null = null;
  try {
    given = JSON.parse(await readFile(path, 'utf8')) as Partial<Report> | null;
  } catch (cause) {
    throw new ArgumentError(`bench: ${path}: ${(cause as Error).message}`, { cause });
  }
  const isRow = (row: Partial<BenchRow> | null) => columns.every((name) => typeof row?.[name] === 'number');
  if (Array.isArray(given?.rows) && given.rows.every(isRow)) return given as Report;
  throw new ArgumentError(`bench: ${path} is no report that bench --json wrote`);
}
