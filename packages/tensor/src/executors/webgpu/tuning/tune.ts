import type { SymbolValues } from '../../../dim.ts';
import type { DType, HostArray } from '../../../dtype.ts';
import { f32ToF16 } from '../../../float16.ts';
import type { Program, Storage } from '../../../graph/executor.ts';
import type { Graph } from '../../../graph/graph.ts';
import { inputOp } from '../../../graph/op.ts';
import { record, recordOn } from '../../../graph/record.ts';
import type { TuningResult } from '../../../report/plan-report.ts';
import { evaluateShape, sizeOf } from '../../../shape.ts';
import { bufferBytes } from '../memory/buffer-bytes.ts';
import { WebGpuStorage } from '../memory/storage.ts';
import type { DeviceServices } from '../services.ts';
import type { ChoiceMade, Choices } from './choices.ts';

/** Runs of which the fastest counts. */
const rounds = 5;
/** How long a device that was idle needs until its clocks have settled, in milliseconds. */
export const wakingTime = 1000;
/** A choice is left for one that is faster by more than noise. */
const worthwhile = 0.97;

/** A program of one node: its time on the device is what a choice costs. */
export type CompileNode = (graph: Graph, services: DeviceServices) => Program;

/**
 * Times every way of computing a node, with values and sizes as in a plan of `symbols`. Frees what it allocates.
 * @param waking milliseconds for which the first way runs before any is timed
 */
export async function measureChoices(
  made: ChoiceMade,
  symbols: SymbolValues,
  names: Graph['symbols'],
  services: DeviceServices,
  compile: CompileNode,
  waking: number,
): Promise<TuningResult> {
  const { shapeClass, preferred } = made;
  const { graph, inputs } = graphOf(made, symbols, names, services);
  const microseconds: Record<string, number> = {};
  const awake = performance.now() + waking;
  try {
    for (const name of made.names) {
      const choices: Choices = { choose: (_, all, otherwise) => (all.includes(name) ? name : otherwise) };
      const program = compile(graph, { ...services, choices });
      try {
        do microseconds[name] = await fastest(program, inputs, symbols);
        while (performance.now() < awake);
      } finally {
        program.dispose();
      }
    }
  } finally {
    for (const input of inputs) input.dispose();
  }
  const best = made.names.reduce((a, b) => (microseconds[b]! < microseconds[a]! ? b : a));
  const choice = microseconds[best]! < worthwhile * microseconds[preferred]! ? best : preferred;
  return { shapeClass, choice, preferred, microseconds };
}

async function fastest(program: Program, inputs: readonly Storage[], symbols: SymbolValues): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const times = await program.profile!(inputs, symbols);
    least = Math.min(
      least,
      times.reduce((sum, { microseconds }) => sum + microseconds, 0),
    );
  }
  return least;
}

/** The node alone, on inputs of its own. */
function graphOf(
  { node }: ChoiceMade,
  symbols: SymbolValues,
  names: Graph['symbols'],
  services: DeviceServices,
): { readonly graph: Graph; readonly inputs: readonly Storage[] } {
  const { device } = node.outputs[0]!;
  const stand = node.inputs.map(
    ({ shape, dtype }, i) => recordOn(device, inputOp, [], { name: `operand${i}`, shape, dtype })[0]!,
  );
  const outputs = record(node.op, stand, node.attributes);
  const graph: Graph = {
    inputs: stand,
    constants: [],
    variables: [],
    nodes: [outputs[0]!.node],
    outputs,
    updates: [],
    symbols: names,
  };
  const inputs: Storage[] = [];
  try {
    for (const { shape, dtype } of stand) {
      const type = { shape: evaluateShape(shape, symbols), dtype };
      const { buffer, release } = services.pool.allocate(bufferBytes(dtype, sizeOf(type.shape)), 'tuning');
      inputs.push(new WebGpuStorage(type, buffer, release));
      const block = valuesOf(dtype);
      for (let at = 0; at < buffer.byteLength; at += block.byteLength)
        services.device.queue.writeBuffer(
          buffer.gpu,
          at,
          block.buffer,
          0,
          Math.min(block.byteLength, buffer.byteLength - at),
        );
    }
  } catch (refusal) {
    for (const input of inputs) input.dispose();
    throw refusal;
  }
  return { graph, inputs };
}

/** Values like a model's: the power that products take, and with it their speed, depends on them. Indices are zeros. */
function valuesOf(dtype: DType): HostArray {
  const count = 1 << 18;
  const values = new Float32Array(count);
  if (dtype !== 'f32' && dtype !== 'f16') return values;
  let seed = 1;
  const uniform = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  for (let i = 0; i < count; i++) values[i] = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return dtype === 'f16' ? f32ToF16(values) : values;
}
