import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Device, DType, Node, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { caseTables } from '../test-support/case-tables.ts';
import type { Case } from '../test-support/cases.ts';
import { leastCapabilities, recordCase } from '../test-support/record-case.ts';

export const readmePath: string = fileURLToPath(new URL('../packages/tensor/README.md', import.meta.url));
const [begin, end] = ['<!-- operations: begin -->', '<!-- operations: end -->'];

/** How an executor comes to an operation's values. */
type How = 'lowered' | 'decomposed' | 'either' | 'composed';
const executors = ['reference', 'onnx', 'webgpu'] as const;
type ExecutorName = (typeof executors)[number];

interface Row {
  readonly name: string;
  readonly how: Readonly<Record<ExecutorName, How>>;
  readonly dtypes: readonly DType[];
  readonly gradient: boolean;
}

function isLowered(executor: ExecutorName, node: Node): boolean {
  const lowering = node.op.lower?.[executor];
  if (!lowering) return false;
  if (!('supports' in lowering) || !lowering.supports) return true;
  return (lowering.supports as (node: Node, capabilities: object) => boolean)(node, leastCapabilities);
}

/** The applications of the operation itself among what was recorded; none where it is made of others. */
function applications(name: string, result: Tensor): Node[] {
  const seen = new Set<Node>();
  const stack = [result.node];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs.map((input) => input.node));
  }
  return [...seen].filter((node) => node.op.name === name);
}

function rowOf(name: string, cases: readonly Case[], device: Device): Row {
  const results = cases.map((row) => recordCase(device, row));
  const nodes = results.flatMap((result) => applications(name, result));
  const how = (executor: ExecutorName): How => {
    if (nodes.length === 0) return 'composed';
    const lowered = nodes.filter((node) => isLowered(executor, node)).length;
    return lowered === nodes.length ? 'lowered' : lowered === 0 ? 'decomposed' : 'either';
  };
  const order: readonly DType[] = ['f32', 'f16', 'i32', 'u32', 'bool'];
  const used = cases.map((row, i) => ('create' in row ? results[i]!.dtype : (row.inputs[0]?.dtype ?? 'f32')));
  const gradient = cases.some(
    (row, i) =>
      'inputs' in row &&
      (row.gradient ?? (results[i]!.dtype === 'f32' && row.inputs.some((input) => input.dtype === 'f32'))),
  );
  return {
    name,
    how: { reference: how('reference'), onnx: how('onnx'), webgpu: how('webgpu') },
    dtypes: order.filter((dtype) => used.includes(dtype)),
    gradient,
  };
}

/** The table of operations, from the tables that test them on every back end. */
export async function operationsTable(): Promise<string> {
  const byName = new Map<string, Case[]>();
  for (const row of (await caseTables()).flatMap(({ cases }) => cases)) {
    const name = row.name.split(/[ ,]/)[0]!;
    byName.set(name, [...(byName.get(name) ?? []), row]);
  }
  const device = await openReference();
  const rows = [...byName].map(([name, cases]) => rowOf(name, cases, device));
  await device.dispose();
  rows.sort((a, b) => a.name.localeCompare(b.name, 'en'));
  const cells = (values: readonly string[]) => `| ${values.join(' | ')} |`;
  return [
    cells(['operation', 'reference', 'ONNX Runtime', 'WebGPU', 'dtypes of the first operand', 'gradient']),
    cells(['---', '---', '---', '---', '---', '---']),
    ...rows.map(({ name, how, dtypes, gradient }) =>
      cells([`\`${name}\``, ...executors.map((executor) => how[executor]), dtypes.join(', '), gradient ? 'yes' : '']),
    ),
  ].join('\n');
}

/** A README with the table between its markers. @throws Error where it has none */
export function withTable(readme: string, table: string): string {
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the README lacks ${begin} and ${end}`);
  return `${readme.slice(0, from + begin.length)}\n${table}\n${readme.slice(to)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await writeFile(readmePath, withTable(await readFile(readmePath, 'utf8'), await operationsTable()));
