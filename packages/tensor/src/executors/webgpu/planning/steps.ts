import { DeviceError } from '../../../checks/errors.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBuffer, KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { shapesEqual, type TensorType } from '../../../shape.ts';
import { callStep, takesEpilogue } from '../codegen/call-step.ts';
import { type BufferOf, computing } from '../codegen/kernel-builder.ts';
import { pointwiseKernel } from '../codegen/pointwise.ts';
import { reductionSteps } from '../codegen/reduction.ts';
import { scatterStep } from '../codegen/scatter.ts';
import { getOrMake } from '../get-or-make.ts';
import { shapeClassOf } from '../tuning/choices.ts';
import type { BufferValue, Step } from '../values.ts';
import { kindOf } from './dataflow.ts';
import type { EpilogueGroup } from './epilogue-groups.ts';
import { hoistUpdates } from './hoist-updates.ts';
import type { KnownKernels, PlanQuestions } from './known-kernels.ts';
import type { KernelSchedule, Unit } from './units.ts';
import { pointwiseWork, scatterWork, withCallWork, withReductionWork } from './work.ts';

/** What is known when the kernels of a plan are generated. */
export interface PlanContext extends PlanQuestions {
  readonly capabilities: WebGpuCapabilities;
  /** Whether kernels may compute what is in front of them. */
  readonly fuse: boolean;
}

type NodeUnit = Extract<Unit, { kind: 'reduction' | 'kernels' }>;

/**
 * The kernels of a schedule for one plan, in order.
 * @param known those of other plans of the same schedule
 */
export function stepsOf(schedule: KernelSchedule, context: PlanContext, known: KnownKernels): Step[] {
  const generate = (units: readonly Unit[]) =>
    units.flatMap((unit) => known.get(unit, context, (asking) => unitSteps(unit, schedule, asking)));
  return withoutUnread(hoistUpdates(generate(schedule.units), generate(schedule.updates)));
}

/** Leaves out what only computes intermediates that nobody reads, since kernels behind it read what is in front of it. */
function withoutUnread(steps: readonly Step[]): Step[] {
  const read = new Set<BufferValue>();
  const kept: Step[] = [];
  for (const step of [...steps].reverse()) {
    const writes = step.bindings.filter(({ access }) => access === 'write');
    if (writes.every(({ value }) => value.kind === 'temporary' && !read.has(value))) continue;
    for (const { value } of step.bindings) read.add(value);
    kept.push(step);
  }
  return kept.reverse();
}

function unitSteps(unit: Unit, schedule: KernelSchedule, context: PlanContext): Step[] {
  switch (unit.kind) {
    case 'pointwise':
      return [pointwiseStep(unit.roots, unit.bufferOf, context)];
    case 'scatter': {
      const { value, rows, target, bufferOf } = unit;
      return [{ ...scatterStep({ ...unit, ...context }), work: scatterWork(value, bufferOf(rows)!, target, bufferOf) }];
    }
    default:
      return nodeSteps(unit, schedule, context);
  }
}

function pointwiseStep(
  roots: Extract<Unit, { kind: 'pointwise' }>['roots'],
  bufferOf: BufferOf,
  context: PlanContext,
): Step {
  const label = labelOf(roots.map(({ tensor }) => tensor));
  return { ...pointwiseKernel({ label, roots, bufferOf, ...context }).step, work: pointwiseWork(roots, bufferOf) };
}

const labelOf = (roots: readonly Tensor[]) => [...new Set(roots.map(({ node }) => node.op.name))].join('+');

/** The kernels of a reduction or an operation of its own, with its epilogue inside where that fits, otherwise behind. */
function nodeSteps(unit: NodeUnit, schedule: KernelSchedule, context: PlanContext): Step[] {
  const { node, group } = unit;
  const generate = unit.kind === 'reduction' ? reductionOf : callsOf;
  if (!group) return generate(node, undefined, schedule.bufferOf, context)!;
  const target = schedule.bufferOf(group.root)!;
  const fused = generate(node, { group, target, beside: companionsOf(group, schedule) }, schedule.bufferOf, context);
  if (fused?.every(({ bindings }) => bindings.length <= context.capabilities.maxStorageBuffers)) return fused;
  const source = temporary(node.op.name, group.source);
  const bufferOf = (tensor: Tensor) => (tensor === group.source ? source : schedule.bufferOf(tensor));
  const roots = [{ tensor: group.root, target }];
  return [
    ...generate(node, undefined, bufferOf, context)!,
    pointwiseStep(roots, computing(group.root, bufferOf), context),
  ];
}

interface Fused {
  readonly group: EpilogueGroup;
  readonly target: BufferValue;
  /** Stored values that the group reads, by what they are computed from. */
  readonly beside: ReadonlyMap<Tensor, Tensor>;
}

function reductionOf(
  node: Node,
  fused: Fused | undefined,
  bufferOf: KernelSchedule['bufferOf'],
  context: PlanContext,
): Step[] {
  const lowering = node.op.lower!.webgpu!;
  if (!('reduce' in lowering)) throw new TypeError(`${node.op.name} is no reduction`);
  const inside = fused ? computing(fused.group.root, bufferOf) : bufferOf;
  const steps = reductionSteps({
    label: fused ? `${node.op.name}+${labelOf([fused.group.root])}` : node.op.name,
    input: node.inputs[0]!,
    axes: (node.attributes as { readonly axes: readonly number[] }).axes,
    reduce: lowering.reduce,
    target: fused ? fused.target : bufferOf(node.outputs[0]!)!,
    epilogue: fused?.group,
    bufferOf: inside,
    scratch: (shape, dtype) => temporary('partial', { shape, dtype }),
    ...context,
  });
  return withReductionWork(steps, node.inputs[0]!, fused?.group, inside);
}

/** Undefined where an epilogue is wanted and the kernels take none. */
function callsOf(
  node: Node,
  fused: Fused | undefined,
  bufferOf: KernelSchedule['bufferOf'],
  context: PlanContext,
): Step[] | undefined {
  const lowering = node.op.lower!.webgpu!;
  if (!('kernels' in lowering)) throw new TypeError(`${node.op.name} has no kernels`);
  const { inputs, outputs, attributes } = node;
  const choose = (names: readonly string[], preferred: string): string => {
    const shapeClass = shapeClassOf(node, context.bound);
    const taken = context.choices?.choose(shapeClass, names, preferred) ?? preferred;
    if (names.length > 1) context.onChoice?.({ node, shapeClass, names, preferred, taken });
    return taken;
  };
  const { capabilities, bound } = context;
  const readable = (tensor: Tensor) => context.fuse && bufferOf(tensor) !== undefined;
  const companions = fused ? [...fused.beside.keys()] : [];
  const calls = lowering.kernels({
    node,
    attributes,
    inputs,
    outputs,
    capabilities,
    bound,
    readable,
    companions,
    choose,
  });
  const takes = (call: KernelCall) =>
    fused && takesEpilogue(call, fused.target.type.dtype, context.capabilities) ? fused : undefined;
  if (fused && !calls.some(takes)) return undefined;
  const scratch = new Map<string, BufferValue>();
  const bufferFor = (buffer: KernelBuffer): BufferValue => {
    if ('input' in buffer) return bufferOf(inputs[buffer.input]!)!;
    if ('of' in buffer) return bufferOf(buffer.of)!;
    if ('output' in buffer) return bufferOf(outputs[buffer.output]!)!;
    const { scratch: name, type } = buffer;
    return getOrMake(scratch, name, () => temporary(`${node.op.name} ${name}`, type));
  };
  return calls.map((call) => {
    const inside = takes(call);
    const also = 'write' in call ? call.also : undefined;
    const inlined = also && computing(fused!.beside.get(also)!, bufferOf);
    const buffers = inside ? computing(inside.group.root, inlined ?? bufferOf) : bufferOf;
    const step = callStep({
      call: inside ? { ...call, label: `${call.label}+${labelOf([inside.group.root])}` } : call,
      bufferFor,
      capabilities: context.capabilities,
      bound: context.bound,
      epilogue: inside && { of: { ...inside.group, also }, target: inside.target },
      bufferOf: buffers,
    });
    return withCallWork(step, call, inside?.group, buffers);
  });
}

/** Stored values that an epilogue reads where it writes, by the results of other kernels that they are computed from. */
function companionsOf({ source, nodes }: EpilogueGroup, schedule: KernelSchedule): Map<Tensor, Tensor> {
  const found = new Map<Tensor, Tensor>();
  for (const { inputs, outputs } of nodes)
    for (const input of inputs) {
      const own = schedule.sourceOf(input);
      if (!own || own === source || kindOf(input.node) === 'alias') continue;
      if (shapesEqual(input.shape, outputs[0]!.shape)) found.set(own, input);
    }
  return found;
}

/** @throws DeviceError where large buffers, bound in parts, are too many for one kernel */
export function assertBindable(
  { label, bindings }: Step,
  { maxStorageBuffers, maxBindingBytes }: WebGpuCapabilities,
): void {
  if (bindings.length <= maxStorageBuffers) return;
  const names = bindings.map(({ value }) => `${value.type.dtype}[${value.type.shape}]`);
  throw new DeviceError(
    `${label}: needs ${bindings.length} bindings of up to ${maxBindingBytes} bytes, the device has ${maxStorageBuffers}: ${names.join(', ')}`,
  );
}

const temporary = (name: string, type: TensorType): BufferValue => ({ kind: 'temporary', name, type });
