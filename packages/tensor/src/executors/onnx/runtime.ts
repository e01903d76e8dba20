import { DeviceError } from '../../checks/errors.ts';
import { type DType, type HostArray, isBlockFormat } from '../../dtype.ts';
import { bf16ToF32, numberToBf16Bits } from '../../float16.ts';
import { decodeFormat } from '../../quantized/decode.ts';

/** A tensor of the runtime: values by reference, with a type and sizes. */
export interface RuntimeTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}
/** A session of ONNX Runtime, as far as it is used. */
export interface RuntimeSession {
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}
/** What is used of `onnxruntime-node` or `onnxruntime-web`: pass the module's namespace object. */
export interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<RuntimeSession>;
  };
  readonly Tensor: new (type: never, data: never, dims: readonly number[]) => RuntimeTensor;
  readonly env?: {
    readonly versions?: { readonly common?: string; readonly node?: string; readonly web?: string };
    /** Of onnxruntime-web: read when the first session of the page is created. */
    readonly wasm?: { numThreads?: number | undefined };
  };
}

const tensorTypes: Readonly<Record<DType | 'i64', string>> = {
  f32: 'float32',
  f16: 'float16',
  i32: 'int32',
  u32: 'uint32',
  bool: 'bool',
  i64: 'int64',
  bf16: 'float32',
  q8_0: 'float32',
  q4_0: 'float32',
  mxfp4: 'float32',
  q4_k: 'float32',
  q5_k: 'float32',
  q6_k: 'float32',
};

/** A tensor of the runtime around `data`, which is not copied; what is storage-only is widened to f32. */
export function runtimeTensor(
  runtime: OnnxRuntime,
  dtype: DType | 'i64',
  data: HostArray | BigInt64Array,
  shape: readonly number[],
): RuntimeTensor {
  const values =
    dtype === 'bf16'
      ? bf16ToF32(data as Uint16Array)
      : isBlockFormat(dtype)
        ? decodeFormat(dtype, data as Uint8Array, shape)
        : data;
  return new runtime.Tensor(tensorTypes[dtype] as never, values as never, shape);
}

/** The values of a result of the runtime, which come as a `Float16Array` where JavaScript has one. */
export function hostValues(dtype: DType, tensor: RuntimeTensor): HostArray {
  const data = tensor.data as HostArray;
  if (dtype === 'bf16') return Uint16Array.from(data, numberToBf16Bits);
  if (dtype !== 'f16' || data instanceof Uint16Array) return data;
  const { buffer, byteOffset, length } = data as ArrayBufferView as Float32Array;
  return new Uint16Array(buffer, byteOffset, length);
}

/**
 * Loads a package with the runtime. Its name is not in the import itself: bundlers for browsers have nothing to resolve it to.
 * @throws DeviceError saying what to install
 */
export async function loadRuntime(name = 'onnxruntime-node'): Promise<OnnxRuntime> {
  try {
    const module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as OnnxRuntime & {
      readonly default?: OnnxRuntime;
    };
    return module.InferenceSession ? module : module.default!;
  } catch (cause) {
    throw new DeviceError(
      `openOnnx: ${name} does not load (${messageOf(cause)}); install it with 'npm install ${name}', or pass a runtime: openOnnx({ runtime })`,
      { cause },
    );
  }
}

/**
 * Threads that compute: as many as are asked for, or as there are processors. For onnxruntime-web what the page has set in
 * `env.wasm.numThreads` counts, and a page that is not cross-origin isolated has one.
 */
export async function threadsOf({ env }: OnnxRuntime, asked: number | undefined): Promise<number> {
  const wanted = asked ?? (await processors());
  if (env?.versions?.web === undefined || !env.wasm) return wanted;
  env.wasm.numThreads ||= isNode() || globalThis.crossOriginIsolated ? wanted : 1;
  return env.wasm.numThreads;
}

async function processors(): Promise<number> {
  if (!isNode()) return globalThis.navigator?.hardwareConcurrency ?? 1;
  const name = 'node:os';
  const os = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:os');
  return os.availableParallelism();
}

const isNode = () => typeof process === 'object' && process.versions?.node !== undefined;

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
