import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Case } from '../../../../test-support/cases.ts';
import { leastCapabilities, recordCase } from '../../../../test-support/record-case.ts';
import { Device } from '../device.ts';
import type { Executor } from '../executor.ts';
import { OnnxExecutor } from '../executors/onnx/executor.ts';
import { ReferenceExecutor } from '../executors/reference/executor.ts';
import { buildGraph } from '../graph/build.ts';
import type { Node } from '../graph/op.ts';
import * as entry from '../index.ts';

/** A file of operations, with the table of cases beside it. */
interface OperationsFile {
  readonly name: string;
  readonly exported: readonly string[];
  readonly cases: readonly Case[];
}

const at = (file: string) => new URL(file, import.meta.url).href;
const entryValues = new Set<unknown>(Object.values(entry));

async function operationsFile(name: string): Promise<OperationsFile> {
  const module = (await import(at(`${name}.ts`))) as Record<string, unknown>;
  const exported = Object.keys(module).filter(
    (key) => typeof module[key] === 'function' && entryValues.has(module[key]),
  );
  if (exported.length === 0) return { name, exported, cases: [] };
  const table = (await import(at(`${name}.cases.ts`))) as Record<string, readonly Case[]>;
  const camelCase = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  return { name, exported, cases: table[`${camelCase}Cases`]! };
}

const names = (await readdir(new URL('.', import.meta.url))).flatMap((file) => /^([\w-]+)\.ts$/.exec(file)?.[1] ?? []);
const files = (await Promise.all(names.map(operationsFile))).filter(({ exported }) => exported.length > 0);

function webGpuLowers(node: Node): boolean {
  const lowering = node.op.lower?.webgpu;
  if (!lowering) return false;
  return !('kernels' in lowering) || (lowering.supports?.(node, leastCapabilities) ?? true);
}

/** The reference executor in all but what it lowers: enough to record and build graphs. */
class WebGpuStandIn extends ReferenceExecutor {
  override lowers(node: Node): boolean {
    return webGpuLowers(node);
  }
}

const executors: Readonly<Record<string, Executor>> = {
  reference: new ReferenceExecutor({}),
  onnx: new OnnxExecutor({ runtime: {} as never, threads: 1 }),
  webgpu: new WebGpuStandIn({}),
};

describe('every exported operation', () => {
  test('is in the tables that run on every back end', () => {
    expect(files.length).toBeGreaterThan(9);
    for (const { name, exported, cases } of files) {
      const tested = new Set(cases.map((row) => row.name.split(' ')[0]));
      expect(exported.filter((operation) => !tested.has(operation), `of ${name}.ts`)).toEqual([]);
    }
  });

  for (const [name, executor] of Object.entries(executors))
    test(`has a lowering or a decomposition on ${name}`, () => {
      const device = new Device(executor);
      const missing = files.flatMap(({ cases }) =>
        cases.flatMap((row) => {
          try {
            const recording = { outputs: [recordCase(device, row)], updates: [], inputs: [] };
            const { graph } = buildGraph(executor, recording, 'inputs');
            return graph.nodes.every((node) => executor.lowers(node)) ? [] : [row.name];
          } catch (error) {
            return [`${row.name}: ${error}`];
          }
        }),
      );
      expect(missing).toEqual([]);
    });
});
