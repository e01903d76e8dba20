import type { DeviceName } from '@heddle/tensor';

const names: readonly string[] = ['auto', 'webgpu', 'onnx', 'reference'] satisfies readonly DeviceName[];

/**
 * What an example was called with: the last argument is the device where it names one. More than `most` others end the
 * program with the usage.
 */
export function exampleArguments(
  usage: string,
  most: number,
): { readonly args: string[]; readonly device: DeviceName } {
  const given = process.argv.slice(2);
  const named = names.includes(given.at(-1) ?? '');
  const args = named ? given.slice(0, -1) : given;
  if (args.length > most) refuse(usage, `'${args.at(-1)}' is no device`);
  return { args, device: (named ? given.at(-1) : 'auto') as DeviceName };
}

/** A whole number above 0. */
export function size(usage: string, name: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    refuse(usage, `${name} takes a whole number above 0, got '${value}'`);
  return number;
}

function refuse(usage: string, why: string): never {
  console.error(`${why}\nusage: ${usage} [DEVICE], where DEVICE is one of ${names.join(', ')}`);
  process.exit(2);
}
