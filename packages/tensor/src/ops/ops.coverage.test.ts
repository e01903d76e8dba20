import { describe, expect, test } from 'vitest';
import { caseTables, operationFiles, operationsFolder } from '../../../../test-support/case-tables.ts';
import { type Case, floats } from '../../../../test-support/cases.ts';
import { leastCapabilities, recordCase } from '../../../../test-support/record-case.ts';
import { createDevice } from '../create-device.ts';
import { OnnxExecutor } from '../executors/onnx/executor.ts';
import { ReferenceExecutor } from '../executors/reference/executor.ts';
import { buildGraph } from '../graph/build.ts';
import type { Executor } from '../graph/executor.ts';
import { defineOp, type Node } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import * as entry from '../index.ts';

/** A module of operations: what of it the package exports, and the table of cases beside it. */
interface OperationsFile {
  readonly file: string;
  readonly exported: readonly string[];
  readonly cases: readonly Case[];
}

const entryValues = new Set<unknown>(Object.values(entry));
const tables = new Map((await caseTables()).map(({ file, cases }) => [file, cases]));

async function operationsFile(file: string): Promise<OperationsFile> {
  const module = (await import(new URL(file, operationsFolder).href)) as Record<string, unknown>;
  const exported = Object.keys(module).filter(
    (key) => typeof module[key] === 'function' && entryValues.has(module[key]),
  );
  return { file, exported, cases: tables.get(file.replace(/ts$/, 'cases.ts')) ?? [] };
}

const modules = (await operationFiles('.ts')).filter((file) => /^[\w/-]+\.ts$/.test(file));
const files = (await Promise.all(modules.map(operationsFile))).filter(({ exported }) => exported.length > 0);

/** Exported operations without a case. */
function untested({ exported, cases }: OperationsFile): string[] {
  const tested = new Set(cases.map((row) => row.name.split(' ')[0]));
  return exported.filter((operation) => !tested.has(operation));
}

/** The WebGPU executor in what it lowers: enough to record and build graphs. */
class WebGpuStandIn extends ReferenceExecutor {
  override lowers(node: Node): boolean {
    const lowering = node.op.lower?.webgpu;
    if (!lowering) return false;
    return !('kernels' in lowering) || (lowering.supports?.(node, leastCapabilities) ?? true);
  }
}

const executors: Readonly<Record<string, Executor>> = {
  reference: new ReferenceExecutor({}),
  onnx: new OnnxExecutor({ runtime: {} as never, threads: 1 }),
  webgpu: new WebGpuStandIn({}),
};

/** Why a case does not come down to what the executor lowers; undefined where it does. */
function failure(executor: Executor, row: Case): string | undefined {
  const device = createDevice(executor);
  try {
    buildGraph(executor, { outputs: [recordCase(device, row)], updates: [], inputs: [] }, 'inputs');
    return undefined;
  } catch (error) {
    return `${row.name}: ${error}`;
  }
}

describe('every exported operation', () => {
  test('is in the tables that run on every back end', () => {
    expect(files.length).toBeGreaterThan(25);
    expect(files.flatMap((file) => untested(file).map((name) => `${name} of ${file.file}`))).toEqual([]);
  });

  test('has a case whose right values were worked out without this project', () => {
    const known = new Set([...tables.values()].flat().flatMap((row) => (row.expected ? row.name.split(' ')[0] : [])));
    // what is drawn is compared with threefry on the host, and by its distribution
    const isDrawn = (name: string) => /^(random|foldKey)/.test(name);
    const exported = files.flatMap((file) => file.exported).filter((name) => !isDrawn(name));
    expect(exported.filter((name) => !known.has(name))).toEqual([]);
  });

  test('without a case would be named', () => {
    const [file] = files;
    expect(untested({ ...file!, exported: [...file!.exported, 'unheardOf'] })).toEqual(['unheardOf']);
    expect(untested({ ...file!, cases: [] })).toEqual(file!.exported);
  });

  for (const [name, executor] of Object.entries(executors)) {
    test(`has a lowering or a decomposition on ${name}`, () => {
      const cases = files.flatMap((file) => file.cases);
      expect(cases.length).toBeGreaterThan(300);
      expect(cases.flatMap((row) => failure(executor, row) ?? [])).toEqual([]);
    });

    test(`without either would be named on ${name}`, () => {
      const op = defineOp<null>({ name: 'bare', shape: ([x]) => [x!] });
      const row = { name: 'bare', inputs: [floats([3])], f: (x: entry.Tensor) => recordOne(op, [x], null) };
      expect(failure(executor, row)).toMatch(/^bare: .*no lowering of it and it has no decomposition/);
    });
  }
});
