import { DeviceError } from '../../../checks/errors.ts';
import type { DType } from '../../../dtype.ts';
import type {
  KernelBody,
  KernelBuiltin,
  PreludeFunction,
  WebGpuCapabilities,
  WorkgroupArray,
} from '../../../graph/webgpu-lowering.ts';
import { type BufferForm, bufferForm, registerType } from './buffer-form.ts';
import type { BufferUse, BufferUses } from './names.ts';
import type { Parts } from './parts.ts';
import { preludeFor, preludeNames } from './prelude.ts';

/** A storage buffer as a kernel's text sees it. */
interface SourceBuffer {
  readonly name: string;
  readonly dtype: DType;
  readonly access: 'read' | 'write';
  readonly vector: 1 | 4 | 8;
  /** Whether its words are changed atomically. */
  readonly atomic?: boolean | undefined;
  /** Bound in parts, as arrays NAME_0, NAME_1, ... */
  readonly parts?: Parts | undefined;
}

/** What an entry point takes. */
export interface KernelEntry {
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** Built-in values by what the text calls them. */
  readonly builtins: Readonly<Record<string, KernelBuiltin>>;
}

/** A kernel whose text is written. */
export interface SourceSpec {
  readonly label: string;
  /** In the order of their bindings from 0; the parameters follow behind the last. */
  readonly buffers: readonly SourceBuffer[];
  /** Names of the fields of `params`, all u32. */
  readonly parameters: readonly string[];
  readonly entry: KernelEntry;
  readonly workgroup: Readonly<Record<string, WorkgroupArray>>;
  readonly body: KernelBody;
  /** The functions of buffers that `body` calls. */
  readonly used: BufferUses;
  /** The functions of the prelude that `body` calls. */
  readonly asked: ReadonlySet<PreludeFunction>;
  /** Extensions to enable beyond `f16` for buffers. */
  readonly requires?: readonly string[];
}

type F16Support = Pick<WebGpuCapabilities, 'shaderF16'>;

/** Whether values lie in pairs in `array<u32>`: bf16, and f16 where the adapter has no shader-f16. */
export function isPacked(dtype: DType, { shaderF16 }: F16Support): boolean {
  return dtype === 'bf16' || (dtype === 'f16' && !shaderF16);
}

export const builtinTypes: Readonly<Record<KernelBuiltin, string>> = {
  workgroup_id: 'vec3<u32>',
  num_workgroups: 'vec3<u32>',
  local_invocation_index: 'u32',
  subgroup_id: 'u32',
  num_subgroups: 'u32',
  subgroup_invocation_id: 'u32',
};

/**
 * The whole text of a kernel: declarations, the functions through which it reads and writes its buffers, and its body.
 *
 * For each buffer NAME there are, where the body uses them (i counts values, k counts pairs or fours):
 * `NAME_at(i)`, `NAME_at2(k)`, `NAME_at4(k)` (values 4k to 4k + 3), and for outputs `NAME_set(i, v)`, `NAME_set2(k, v)`,
 * `NAME_set4(k, v)`. Values are f32 for f32, f16, bf16 and block formats, i32, or u32 (bool as 0 and 1), whatever the storage.
 * `NAME_set` is missing where 16 bits are packed, because two values share a word there: kernels that may write those set
 * pairs or fours. Every buffer is as large as whole fours, so the last pair or four may reach past the last value.
 */
export function kernelSource(spec: SourceSpec, f16: F16Support): string {
  const { label, buffers, parameters, entry, workgroup, body, used, requires = [] } = spec;
  const asked = new Set(spec.asked);
  const prelude = preludeNames(asked);
  const native16 = f16.shaderF16 && buffers.some(({ dtype }) => dtype === 'f16');
  const extensions = new Set([...(native16 ? ['f16'] : []), ...requires]);
  const formsOf = ({ name, dtype, vector, parts }: SourceBuffer) =>
    arraysOf(name, parts).map((array) => bufferForm(array, { dtype, vector, packed: isPacked(dtype, f16), prelude }));
  const arrays = buffers.flatMap((buffer) => {
    if (buffer.parts && used.get(buffer.name)?.has('array')) refuseParts(label, buffer.parts);
    const { element } = formsOf(buffer)[0]!;
    return arraysOf(buffer.name, buffer.parts).map((name) => ({ ...buffer, name, element }));
  });
  const declarations = arrays.map(({ name, element, access, atomic }, i) => {
    const type = atomic ? `atomic<${element}>` : element;
    return `@group(0) @binding(${i}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: array<${type}>;`;
  });
  const lines = [...extensions].map((name) => `enable ${name};`);
  if (parameters.length > 0) {
    lines.push(`struct Params { ${parameters.map((name) => `${name}: u32`).join(', ')} }`);
    declarations.push(`@group(0) @binding(${arrays.length}) var<uniform> params: Params;`);
  }
  const functions = buffers.flatMap((buffer) => accessors(buffer, formsOf(buffer), used.get(buffer.name)));
  const memory = Object.entries(workgroup).map(
    ([name, { type, length }]) =>
      `var<workgroup> ${name}: ${length === undefined ? type : `array<${type}, ${length}>`};`,
  );
  const text = [...(body.functions ? [body.functions] : []), entryPoint(entry, body.main)];
  return [...lines, ...declarations, ...functions, ...preludeFor(asked), ...memory, ...text].join('\n');
}

function entryPoint({ threads, builtins }: KernelEntry, main: string): string {
  const taken = Object.entries(builtins).map(
    ([name, builtin]) => `@builtin(${builtin}) ${name}: ${builtinTypes[builtin]}`,
  );
  return `@compute @workgroup_size(${threads})\nfn main(${taken.join(', ')}) {\n${main}\n}`;
}

const arraysOf = (name: string, parts: Parts | undefined): string[] =>
  parts ? Array.from({ length: parts.count }, (_, k) => `${name}_${k}`) : [name];

/** @throws DeviceError for a kernel that takes a buffer as the array that it is not */
function refuseParts(label: string, { bytes }: Parts): never {
  throw new DeviceError(
    `${label}: takes a buffer as a whole, which is larger than the ${bytes} bytes that a binding may have here`,
  );
}

/** The functions of a buffer that a text calls; `forms` are those of its arrays. */
function accessors(
  { name, dtype, access, parts }: SourceBuffer,
  forms: readonly BufferForm[],
  used: ReadonlySet<BufferUse> = new Set(),
): string[] {
  const found: string[] = [];
  const [form] = forms;
  const type = (width: number) => (width === 1 ? registerType[dtype] : `vec${width}<${registerType[dtype]}>`);
  const inPart = (width: number, act: (form: BufferForm, i: string) => string) => {
    if (!parts) return act(form!, 'i');
    const each = parts.values / width;
    const cases = forms.map((own, k) => `${k === forms.length - 1 ? 'default' : `case ${k}u`}: { ${act(own, 'j')} }`);
    return `let j = i % ${each}u; switch (i / ${each}u) { ${cases.join(' ')} }`;
  };
  for (const [suffix, width, read, write] of [
    ['', 1, 'read', 'write'],
    ['2', 2, 'read2', 'write2'],
    ['4', 4, 'read4', 'write4'],
  ] as const) {
    if (used.has(`at${suffix}`)) {
      const text = inPart(width, (own, i) => `return ${own[read](i)};`);
      found.push(`fn ${name}_at${suffix}(i: u32) -> ${type(width)} { ${text} }`);
    }
    if (access === 'write' && form![write] && used.has(`set${suffix}`)) {
      const text = inPart(width, (own, i) => own[write]!(i, 'v'));
      found.push(`fn ${name}_set${suffix}(i: u32, v: ${type(width)}) { ${text} }`);
    }
  }
  return found.length > 0 && form!.helper ? [form!.helper(), ...found] : found;
}
