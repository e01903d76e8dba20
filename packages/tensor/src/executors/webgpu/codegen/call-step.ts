import type { Dim } from '../../../dim.ts';
import type { DType } from '../../../dtype.ts';
import { DeviceError } from '../../../errors.ts';
import type { KernelBuffer, KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';
import { registerType } from './buffer-form.ts';
import { type Epilogue, epilogueFunction } from './epilogue.ts';
import { type BufferOf, KernelBuilder } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
import { innermostIsFours } from './place.ts';

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

/**
 * The output of a call into whose stores an epilogue may go that gives values of `dtype`: not where the kernel sets single
 * values and two of that type share a word.
 */
export function takesEpilogue(
  call: KernelCall,
  dtype: DType,
  capabilities: WebGpuCapabilities,
): KernelBuffer | undefined {
  const output = call.buffers.find((buffer) => 'output' in buffer && buffer.epilogue);
  const setsSingles = output && new RegExp(`\\b${output.name}_set\\(`).test(call.body);
  return setsSingles && isPacked(dtype, capabilities) ? undefined : output;
}

/** A kernel of an operation's own, with the declarations that its body builds on. */
export function callStep({ call, bufferFor, capabilities, bound, epilogue, bufferOf }: CallSpec): Step {
  const builder = new KernelBuilder({ capabilities, bound }, 'e_');
  const fused = epilogue && takesEpilogue(call, epilogue.target.type.dtype, capabilities);
  for (const buffer of call.buffers) {
    const access = 'access' in buffer ? buffer.access : 'output' in buffer ? 'write' : 'read';
    const vector = buffer.vector ?? 1;
    if (buffer === fused) builder.declare(`${buffer.name}_stored`, epilogue!.target, access, vector);
    else builder.declare(buffer.name, bufferFor(buffer), access, vector);
  }
  for (const [name, dim] of Object.entries(call.parameters)) builder.sizes.add(name, dim);
  const wrappers = fused ? epilogueWrappers(fused.name, epilogue!, builder, bufferOf, call.body) : '';
  const workgroups: Step['workgroups'] = (size) => {
    const counts = call.workgroups(size);
    if (counts.some((count) => !Number.isInteger(count) || count < 0 || count > 65_535))
      throw new DeviceError(`${call.label}: workgroups must be whole numbers up to 65535, got [${counts.join(', ')}]`);
    return counts;
  };
  const { label, body, requires, ignoresExtraWorkgroups } = call;
  return builder.build(label, `${wrappers}${body}`, workgroups, { requires, ignoresExtraWorkgroups });
}

/** The `NAME_set` functions of an output, computing the epilogue of each value that goes through them. */
function epilogueWrappers(
  name: string,
  { of, target }: { readonly of: Epilogue; readonly target: BufferValue },
  builder: KernelBuilder,
  bufferOf: BufferOf,
  body: string,
): string {
  const [from, to] = [registerType[of.source.dtype], registerType[target.type.dtype]];
  const widths = [1, 2, 4].filter((width) => new RegExp(`\\b${name}_set${width === 1 ? '' : width}\\(`).test(body));
  // a pair or four may reach past the last value, where there is nothing for the epilogue to read
  const last = innermostIsFours(of.root.shape) ? undefined : builder.sizes.add('e_count', sizeOf(of.root.shape));
  const within = (position: string) => (last ? `min(${position}, ${last} - 1u)` : position);
  const wrappers = widths.map((width) => {
    if (width === 1) return `fn ${name}_set(i: u32, v: ${from}) { ${name}_stored_set(i, epilogue(i, v)); }`;
    const values = Array.from(
      { length: width },
      (_, lane) =>
        `epilogue(${[within(`${width}u * k + ${lane}u`), `v[${lane}]`, ...(of.also ? [`also[${lane}]`] : [])].join(', ')})`,
    );
    return `fn ${name}_set${width}(k: u32, v: vec${width}<${from}>) { ${name}_stored_set${width}(k, vec${width}<${to}>(${values.join(', ')})); }`;
  });
  const also = of.also ? [`var<private> also: vec4<${registerType[of.also.dtype]}>;`] : [];
  return `${[...also, epilogueFunction(of, from, builder, bufferOf), ...wrappers].join('\n')}\n`;
}
