import { describe } from './describe.ts';
import { ArgumentError } from './errors.ts';

/** What tells a device. */
interface Device {
  readonly name: string;
}

/** @throws ArgumentError naming `operation` and the first of `tensors`, by their names, that is none */
export function checkTensors(operation: string, tensors: Readonly<Record<string, unknown>>): void {
  for (const name in tensors)
    if (!(tensors[name] as { readonly node?: unknown } | null | undefined)?.node)
      throw new ArgumentError(`${operation}: ${name} must be a tensor, got ${describe(tensors[name])}`);
}

/** @throws ArgumentError naming `operation` where a device is none */
export function checkDevice(operation: string, device: unknown): void {
  if (typeof (device as { readonly variable?: unknown } | null | undefined)?.variable !== 'function')
    throw new ArgumentError(`${operation}: takes a device, as openDevice() gives one, got ${describe(device)}`);
}

/** @throws ArgumentError naming `operation` where options are no object */
export function checkObject(operation: string, options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options) || ArrayBuffer.isView(options))
    throw new ArgumentError(`${operation}: options must be an object, got ${describe(options)}`);
}

/** @throws ArgumentError naming `operation` where what should be a list is none */
export function checkList(operation: string, name: string, list: unknown): void {
  if (!Array.isArray(list)) throw new ArgumentError(`${operation}: ${name} must be a list, got ${describe(list)}`);
}

/** @throws ArgumentError naming `operation` where what should be a function is none */
export function checkFunction(operation: string, value: unknown): void {
  if (typeof value !== 'function') throw new ArgumentError(`${operation}: takes a function, got ${describe(value)}`);
}

/** @throws ArgumentError naming `operation` for what is no tensor of a device */
export function checkTensorsOf(operation: string, device: Device, tensors: readonly unknown[]): void {
  for (const tensor of tensors) {
    const own = (tensor as { readonly device?: Device } | null | undefined)?.device;
    if (own !== device)
      throw new ArgumentError(
        `${operation}: takes tensors of this ${device.name} device, got ${own ? `one of another (${own.name})` : describe(tensor)}`,
      );
  }
}
