import { sizeOf } from '../../../shape.ts';
import type { BufferValue } from '../values.ts';
import { registerType } from './buffer-form.ts';
import { type Epilogue, epilogueFunction } from './epilogue.ts';
import type { BufferOf, KernelBuilder } from './kernel-builder.ts';
import type { SetWidth } from './names.ts';
import { innermostIsFours } from './place.ts';

/** The functions that set values of an output, by the widths that the kernel sets, computing the epilogue of each value. */
export function epilogueSets(
  name: string,
  widths: ReadonlySet<SetWidth>,
  { of, target }: { readonly of: Epilogue; readonly target: BufferValue },
  builder: KernelBuilder,
  bufferOf: BufferOf,
): string {
  const [from, to] = [registerType[of.source.dtype], registerType[target.type.dtype]];
  const { own, set, set2, set4 } = builder.names;
  const stored = `${name}_stored`;
  // a pair or four may reach past the last value, where there is nothing for the epilogue to read
  const last = innermostIsFours(of.root.shape) ? undefined : builder.sizes.add('e_count', sizeOf(of.root.shape));
  const within = (position: string) => (last ? `min(${position}, ${last} - 1u)` : position);
  const sets = ([1, 2, 4] as const)
    .filter((width) => widths.has(width))
    .map((width) => {
      if (width === 1)
        return `fn ${own[`${name}_set`]}(i: u32, v: ${from}) { ${set[stored]}(i, ${own['epilogue']}(i, v)); }`;
      const values = Array.from(
        { length: width },
        (_, lane) =>
          `${own['epilogue']}(${[within(`${width}u * k + ${lane}u`), `v[${lane}]`, ...(of.also ? [`also[${lane}]`] : [])].join(', ')})`,
      );
      const also = of.also ? `, also: vec${width}<${registerType[of.also.dtype]}>` : '';
      const store = `${width === 2 ? set2[stored] : set4[stored]}(k, vec${width}<${to}>(${values.join(', ')}));`;
      return `fn ${own[`${name}_set${width}`]}(k: u32, v: vec${width}<${from}>${also}) { ${store} }`;
    });
  return [epilogueFunction(of, from, builder, bufferOf), ...sets].join('\n');
}
