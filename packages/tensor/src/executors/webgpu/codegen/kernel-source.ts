import type { DType } from '../../../dtype.ts';
import { DeviceError } from '../../../errors.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { type BufferForm, bufferForm, registerType } from './buffer-form.ts';
import type { Parts } from './parts.ts';
import { preludeFor } from './prelude.ts';

/** A storage buffer as a kernel's text sees it. */
interface SourceBuffer {
  readonly name: string;
  readonly dtype: DType;
  readonly access: 'read' | 'write';
  readonly vector: 1 | 4 | 8;
  /** Bound in parts, as arrays NAME_0, NAME_1, ... */
  readonly parts?: Parts | undefined;
}

export interface SourceSpec {
  readonly label: string;
  /** In the order of their bindings from 0; the parameters follow behind the last. */
  readonly buffers: readonly SourceBuffer[];
  /** Names of the fields of `params`, all u32. */
  readonly parameters: readonly string[];
  /** Everything after the declarations. */
  readonly body: string;
  /** Extensions to enable beyond `f16` for buffers. */
  readonly requires?: readonly string[];
}

type F16Support = Pick<WebGpuCapabilities, 'shaderF16'>;

/** Whether values lie in pairs in `array<u32>`: bf16, and f16 where the adapter has no shader-f16. */
export function isPacked(dtype: DType, { shaderF16 }: F16Support): boolean {
  return dtype === 'bf16' || (dtype === 'f16' && !shaderF16);
}

/**
 * The whole text of a kernel: declarations, the functions through which it reads and writes its buffers, and its body.
 *
 * For each buffer NAME there are, where the body uses them (i counts values, k counts pairs or fours):
 * `NAME_at(i)`, `NAME_at2(k)`, `NAME_at4(k)` (values 4k to 4k + 3), and for outputs `NAME_set(i, v)`, `NAME_set2(k, v)`,
 * `NAME_set4(k, v)`. Values are f32 for f32, f16, bf16 and block formats, i32, or u32 (bool as 0 and 1), whatever the storage.
 * `NAME_set` is missing where 16 bits are packed, because two values share a word there: kernels that may write those set
 * pairs or fours. Every buffer is as large as whole fours, so the last pair or four may reach past the last value.
 */
export function kernelSource({ label, buffers, parameters, body, requires = [] }: SourceSpec, f16: F16Support): string {
  const native16 = f16.shaderF16 && buffers.some(({ dtype }) => dtype === 'f16');
  const extensions = new Set([...(native16 ? ['f16'] : []), ...requires]);
  const formsOf = ({ name, dtype, vector, parts }: SourceBuffer) =>
    arraysOf(name, parts).map((array) => bufferForm(array, dtype, vector, isPacked(dtype, f16)));
  const arrays = buffers.flatMap((buffer) => {
    if (buffer.parts) assertByFunctions(label, buffer, body);
    const element = formsOf(buffer)[0]!.element;
    return arraysOf(buffer.name, buffer.parts).map((name) => ({ name, element, access: buffer.access }));
  });
  const declarations = arrays.map(
    ({ name, element, access }, i) =>
      `@group(0) @binding(${i}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: array<${element}>;`,
  );
  const lines = [...extensions].map((name) => `enable ${name};`);
  if (parameters.length > 0) {
    lines.push(`struct Params { ${parameters.map((name) => `${name}: u32`).join(', ')} }`);
    declarations.push(`@group(0) @binding(${arrays.length}) var<uniform> params: Params;`);
  }
  const functions = buffers.flatMap((buffer) => accessors(buffer, formsOf(buffer), body));
  const prelude = preludeFor([...functions, body].join('\n'));
  return [...lines, ...declarations, ...functions, ...prelude, body].join('\n');
}

const arraysOf = (name: string, parts: Parts | undefined): string[] =>
  parts ? Array.from({ length: parts.count }, (_, k) => `${name}_${k}`) : [name];

/** @throws DeviceError where a kernel takes a buffer as the array that it is not */
function assertByFunctions(label: string, { name, parts }: SourceBuffer, body: string): void {
  if (new RegExp(`(?<![.\\w])${name}\\[|&${name}\\b`).test(body))
    throw new DeviceError(
      `${label}: takes a buffer as a whole, which is larger than the ${parts!.bytes} bytes that a binding may have here`,
    );
}

/** The functions of a buffer that `body` calls; `forms` are those of its arrays. */
function accessors({ name, dtype, access, parts }: SourceBuffer, forms: readonly BufferForm[], body: string): string[] {
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
    const calls = (verb: string) => new RegExp(`\\b${name}_${verb}${suffix}\\(`).test(body);
    if (calls('at')) {
      const text = inPart(width, (own, i) => `return ${own[read](i)};`);
      found.push(`fn ${name}_at${suffix}(i: u32) -> ${type(width)} { ${text} }`);
    }
    if (access === 'write' && form![write] && calls('set')) {
      const text = inPart(width, (own, i) => own[write]!(i, 'v'));
      found.push(`fn ${name}_set${suffix}(i: u32, v: ${type(width)}) { ${text} }`);
    }
  }
  return found.length > 0 && form!.helper ? [form!.helper, ...found] : found;
}
