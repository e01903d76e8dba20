import type { DType } from '../../../dtype.ts';
import type { WebGpuCapabilities } from '../lowering.ts';
import { bufferForm, registerType } from './buffer-form.ts';
import { preludeFor } from './prelude.ts';

/** A storage buffer as a kernel's text sees it. */
interface SourceBuffer {
  readonly name: string;
  readonly dtype: DType;
  readonly access: 'read' | 'write';
  readonly vector: 1 | 4 | 8;
}

export interface SourceSpec {
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
export function kernelSource({ buffers, parameters, body, requires = [] }: SourceSpec, f16: F16Support): string {
  const native16 = f16.shaderF16 && buffers.some(({ dtype }) => dtype === 'f16');
  const extensions = new Set([...(native16 ? ['f16'] : []), ...requires]);
  const forms = buffers.map(({ name, dtype, vector }) => bufferForm(name, dtype, vector, isPacked(dtype, f16)));
  const declarations = buffers.map(
    ({ name, access }, i) =>
      `@group(0) @binding(${i}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: array<${forms[i]!.element}>;`,
  );
  const lines = [...extensions].map((name) => `enable ${name};`);
  if (parameters.length > 0) {
    lines.push(`struct Params { ${parameters.map((name) => `${name}: u32`).join(', ')} }`);
    declarations.push(`@group(0) @binding(${buffers.length}) var<uniform> params: Params;`);
  }
  const functions = buffers.flatMap((buffer, i) => accessors(buffer, forms[i]!, body));
  const prelude = preludeFor([...functions, body].join('\n'));
  return [...lines, ...declarations, ...functions, ...prelude, body].join('\n');
}

/** The functions of a buffer that `body` calls. */
function accessors({ name, dtype, access }: SourceBuffer, form: ReturnType<typeof bufferForm>, body: string): string[] {
  const found: string[] = [];
  const type = (width: number) => (width === 1 ? registerType[dtype] : `vec${width}<${registerType[dtype]}>`);
  for (const [suffix, width, read, write] of [
    ['', 1, form.read, form.write],
    ['2', 2, form.read2, form.write2],
    ['4', 4, form.read4, form.write4],
  ] as const) {
    const calls = (verb: string) => new RegExp(`\\b${name}_${verb}${suffix}\\(`).test(body);
    if (calls('at')) found.push(`fn ${name}_at${suffix}(i: u32) -> ${type(width)} { return ${read('i')}; }`);
    if (access === 'write' && write && calls('set'))
      found.push(`fn ${name}_set${suffix}(i: u32, v: ${type(width)}) { ${write('i', 'v')} }`);
  }
  return found.length > 0 && form.helper ? [form.helper, ...found] : found;
}
