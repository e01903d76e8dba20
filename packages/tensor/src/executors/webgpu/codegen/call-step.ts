import { DeviceError } from '../../../checks/errors.ts';
import type { Dim } from '../../../dim.ts';
import type { DType } from '../../../dtype.ts';
import type { KernelBody, KernelBuffer, KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import type { BufferValue, Step } from '../values.ts';
import type { Epilogue } from './epilogue.ts';
import { epilogueSets } from './epilogue-sets.ts';
import { type BufferOf, KernelBuilder, standardBuiltins } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
import { GivenNames, plainScope, type SetWidth, setWidths, withOwnSets } from './names.ts';

export interface CallSpec {
  readonly call: KernelCall;
  /** The buffer of an input, output or scratch. */
  bufferFor(buffer: KernelBuffer): BufferValue;
  readonly capabilities: WebGpuCapabilities;
  bound(dim: Dim): number;
  /** What is stored in place of the output that takes an epilogue. */
  readonly epilogue?: { readonly of: Epilogue; readonly target: BufferValue } | undefined;
  readonly bufferOf: BufferOf;
}

const epilogueOutput = ({ buffers }: KernelCall): KernelBuffer | undefined =>
  buffers.find((buffer) => 'output' in buffer && buffer.epilogue);

/**
 * Whether an epilogue that gives values of `dtype` may go into the stores of a call: not where the kernel sets single values
 * and two of that type share a word.
 */
export function takesEpilogue(call: KernelCall, dtype: DType, capabilities: WebGpuCapabilities): boolean {
  const output = epilogueOutput(call);
  if (!output) return false;
  return !isPacked(dtype, capabilities) || !widthsOf(call, output.name).has(1);
}

/** How many values at once a kernel sets of an output. */
function widthsOf(call: KernelCall, output: string): ReadonlySet<SetWidth> {
  const names = new GivenNames();
  call.write(names);
  return setWidths(names.used.get(output));
}

/** A kernel of an operation's own, with the declarations that its body builds on. */
export function callStep(spec: CallSpec): Step {
  const { call } = spec;
  const { builder, body } = written(spec, namesOf(call));
  const workgroups: Step['workgroups'] = (size) => {
    const counts = call.workgroups(size);
    if (!(isCount(counts[0]) && isCount(counts[1]) && isCount(counts[2])))
      throw new DeviceError(`${call.label}: workgroups must be whole numbers up to 65535, got [${counts.join(', ')}]`);
    return counts;
  };
  const { label, requires, threads, builtins = standardBuiltins, workgroup, ignoresExtraWorkgroups } = call;
  const rewrite = ignoresExtraWorkgroups ? (names: GivenNames) => written(spec, names).body : undefined;
  return builder.build({ label, entry: { threads, builtins }, workgroup, body, requires, workgroups, rewrite });
}

const isCount = (count: number): boolean => Number.isInteger(count) && count >= 0 && count <= 65_535;

/** The names of a call as it declares them. */
function namesOf(call: KernelCall): GivenNames {
  const declared =
    (kind: string, known: (name: string) => boolean, scope: (name: string) => string) => (name: string) => {
      if (known(name)) return scope(name);
      throw new DeviceError(`${call.label}: its text names the ${kind} ${name}, which the kernel does not declare`);
    };
  const buffers = new Set(call.buffers.flatMap(({ name }) => [name, `${name}_stored`]));
  // an epilogue adds buffers and sizes of its own
  const isAdded = (name: string) => /^e_/.test(name);
  const workgroup = call.workgroup ?? {};
  return new GivenNames({
    ...plainScope,
    buffer: declared('buffer', (name) => buffers.has(name) || isAdded(name), plainScope.buffer),
    size: declared('size', (name) => name in call.parameters || isAdded(name), plainScope.size),
    shared: declared('workgroup variable', (name) => name in workgroup, plainScope.shared),
  });
}

/** The text of a call, with what was found out while it was written. */
function written({ call, bufferFor, capabilities, bound, epilogue, bufferOf }: CallSpec, names: GivenNames) {
  const builder = new KernelBuilder({ capabilities, bound }, names, 'e_');
  const fused = epilogue && epilogueOutput(call);
  for (const buffer of call.buffers) {
    const access = 'access' in buffer ? buffer.access : 'output' in buffer ? 'write' : 'read';
    const vector = buffer.vector ?? 1;
    if (buffer === fused) builder.declare(`${buffer.name}_stored`, epilogue!.target, access, vector);
    else builder.declare(buffer.name, bufferFor(buffer), access, vector);
  }
  for (const [name, dim] of Object.entries(call.parameters)) builder.sizes.add(name, dim);
  const widths = new Set<SetWidth>();
  const own: KernelBody = call.write(fused ? withOwnSets(names, fused.name, widths) : names);
  const sets = fused ? epilogueSets(fused.name, widths, epilogue!, builder, bufferOf) : undefined;
  const functions = [sets, own.functions].filter((text) => text !== undefined).join('\n');
  const body: KernelBody = functions === '' ? own : { functions, main: own.main };
  return { builder, body };
}
