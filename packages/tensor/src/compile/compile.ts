import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DisposedError } from '../checks/errors.ts';
import type { SymbolValues } from '../dim.ts';
import type { Device } from '../graph/device.ts';
import { Tensor } from '../graph/tensor.ts';
import { checkBudget } from '../report/memory.ts';
import type { TensorType } from '../shape.ts';
import { leavesOf, mapTree, placesOf, type TreePlace } from '../tree.ts';
import type { CompiledFunction, CompileOptions, FedArguments, Results, WarmOptions } from './compiled-function.ts';
import { checkSpec, type Fed, type InputSpec, isInputSpec, typeOfSpec } from './input-spec.ts';
import { signatureOf } from './signature.ts';
import { Trace, type TracedInput } from './trace.ts';

/**
 * Makes a function of tensors into plans that are traced once and replayed: it may return tensors and updates of variables
 * in nested arrays and plain objects. Tensors that it uses from outside are fixed at the trace (weights); variables are
 * read anew at each run. Arguments other than tensors are part of the signature.
 *
 * ```ts
 * const step = compile((x: Tensor) => x.mul(2).sum(), { device, inputs: [{ shape: ['T', 4] }], symbols: { T: 1024 } });
 * const doubled = await step(new Float32Array(12)); // T = 3
 * ```
 * @throws ArgumentError for an option that it does not have, or inputs that are none; a run throws what tracing throws, and
 *   ShapeError where a symbolic dimension exceeds its bound
 */
export function compile<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: CompileOptions<A> = {},
): CompiledFunction<A, R> {
  checkArguments('compile', 'function', { fn });
  checkOptions('compile', options, {
    device: 'device?',
    inputs: 'list?',
    symbols: 'object?',
    name: 'text?',
    donate: 'list?',
    memoryBudget: 'anything',
    onePlan: 'boolean?',
  });
  const { name = fn.name || 'compiled function', symbols: bounds = {}, donate = [], memoryBudget, onePlan } = options;
  checkBudget('compile', memoryBudget);
  const traces = new Map<string, Trace>();
  let last: Trace | undefined;
  let disposed = false;
  let clock = 0;
  const places = placesOf(options.inputs ?? [], isInputSpec);
  for (const { leaf } of places) if (isInputSpec(leaf)) checkSpec(leaf);
  for (const [size, bound] of Object.entries(bounds))
    checkArguments('compile', 'number', { [`symbols.${size}`]: bound });
  if (onePlan && !options.inputs) throw new ArgumentError(`compile: onePlan needs inputs`);
  for (const index of donate)
    if (
      !Number.isInteger(index) ||
      index < 0 ||
      (options.inputs && index >= (options.inputs as readonly unknown[]).length)
    )
      throw new ArgumentError(`compile: donate names arguments by index, got ${describe(index)}`);

  const newTrace = (
    device: Device,
    template: readonly unknown[],
    isTensor: (leaf: unknown) => boolean,
    typeOf: (leaf: unknown) => TensorType,
  ) => {
    const types: TracedInput[] = [];
    template.forEach((argument, i) => {
      const note = (leaf: unknown, path: string) => {
        if (!isTensor(leaf)) return;
        types.push({ path: `${name}: argument ${path}`, type: typeOf(leaf), donated: donate.includes(i) });
      };
      mapTree(argument, note, isTensor, `[${i}]`);
    });
    return new Trace(device, { owner: name, memoryBudget, onePlan }, types, (placeholders) => {
      let next = 0;
      const args = mapTree(template, (leaf) => (isTensor(leaf) ? placeholders[next++] : leaf), isTensor);
      return fn(...(args as unknown as A));
    });
  };

  const traceSpecs = (device: Device, empty: readonly string[] = []): Trace =>
    newTrace(device, options.inputs as readonly unknown[], isInputSpec, (leaf) =>
      typeOfSpec(leaf as InputSpec, bounds, empty),
    );
  /** The one trace of a function whose inputs are described. */
  const described = (args: readonly unknown[] = []): Trace => {
    if (last) return last;
    last = traceSpecs(options.device ?? deviceOf(args, name));
    traces.set('', last);
    return last;
  };
  /** That trace, or the one of its own for the dimensions that are 0, where the executor wants one. */
  const describedFor = (fed: readonly Fed[], symbols: SymbolValues, args?: readonly unknown[]): Trace => {
    const trace = described(args);
    const empty = trace.emptyIn(fed, symbols);
    if (empty.length === 0) return trace;
    const key = empty.map((dimension) => `${dimension} = 0`).join(', ');
    const apart = traces.get(key) ?? traceSpecs(trace.device, empty);
    traces.set(key, apart);
    return apart;
  };
  const bySignature = (args: readonly unknown[]): Trace => {
    const device = options.device ?? deviceOf(args, name);
    const signature = signatureOf(name, args, device);
    last = traces.get(signature);
    if (!last) {
      last = newTrace(device, args, isTensorLeaf, (leaf) => leaf as Tensor);
      traces.set(signature, last);
    }
    return last;
  };

  /** The trace for these arguments, and what it is fed. */
  const bind = (
    args: readonly unknown[],
    symbols: SymbolValues,
  ): { readonly trace: Trace; readonly fed: readonly Fed[] } => {
    if (disposed) throw new DisposedError(`${name}: the compiled function was disposed of`);
    if (!options.inputs) return { trace: bySignature(args), fed: leavesOf(args).filter(isTensorLeaf) as Tensor[] };
    const fed = fedBySpec(name, options.inputs as readonly unknown[], places, args);
    return { trace: describedFor(fed, symbols, args), fed };
  };
  const run = async (args: readonly unknown[], symbols: SymbolValues) => {
    const { trace, fed } = bind(args, symbols);
    const call = { made: ++clock, delivered: Number.POSITIVE_INFINITY };
    const result = (await trace.run(fed, symbols, call)) as Results<R>;
    call.delivered = ++clock;
    return result;
  };

  /** Says what is wrong with what `run` was given. */
  const refuse = async (args: unknown, options: unknown): Promise<never> => {
    checkArguments(name, 'list', { args });
    checkOptions(name, options, { symbols: 'object' });
    throw new ArgumentError(`${name}: run takes a list of arguments and { symbols }`);
  };

  return Object.assign((...args: FedArguments<A>) => run(args as readonly unknown[], {}), {
    run: (args: FedArguments<A>, options: { readonly symbols: SymbolValues }) =>
      isRun(args, options) ? run(args as readonly unknown[], options.symbols) : refuse(args, options),
    profile: async (args: FedArguments<A>, { symbols = {} }: { readonly symbols?: SymbolValues } = {}) => {
      const { trace, fed } = bind(args as readonly unknown[], symbols);
      return trace.profile(fed, symbols);
    },
    prepare: async (symbols: SymbolValues = {}) => {
      checkArguments(name, 'object', { symbols });
      if (!options.inputs) throw new ArgumentError(`${name}: prepare needs options.inputs`);
      await describedFor([], symbols).prepare(symbols);
    },
    warm: async (warming: WarmOptions = {}) => {
      checkOptions(name, warming, { buckets: 'list?', onProgress: 'function?' });
      const { buckets, onProgress } = warming;
      for (const bucket of buckets ?? []) checkArguments(name, 'object', { bucket });
      if (!options.inputs) throw new ArgumentError(`${name}: warm needs options.inputs`);
      await described().warm(buckets, onProgress);
    },
    tune: async ({ buckets }: Pick<WarmOptions, 'buckets'> = {}) => {
      if (!options.inputs) throw new ArgumentError(`${name}: tune needs options.inputs`);
      return described().tune(buckets);
    },
    report: async (symbols: SymbolValues = {}) => {
      checkArguments(name, 'object', { symbols });
      const trace = last ?? (options.inputs && described());
      if (!trace) throw new ArgumentError(`${name}: report needs options.inputs, or a call before`);
      return trace.report(symbols);
    },
    explain: () =>
      [...traces]
        .map(
          ([signature, trace]) =>
            `${name}${signature && ` for ${signature}`}\n${trace.program?.explain() ?? 'not compiled yet'}`,
        )
        .join('\n\n'),
    kernelCount: () => last?.program?.kernelCount,
    plannedBytes: (symbols: SymbolValues = {}) => {
      checkArguments(name, 'object', { symbols });
      const memory = last?.program?.report?.(symbols).memory;
      return (
        memory && { peak: memory.activations + memory.outputs, sum: memory.activationsWithoutReuse + memory.outputs }
      );
    },
    dispose: () => {
      disposed = true;
      for (const trace of traces.values()) trace.dispose();
      traces.clear();
    },
  });
}

const isTensorLeaf = (leaf: unknown): boolean => leaf instanceof Tensor;

function deviceOf(args: readonly unknown[], name: string): Device {
  for (const leaf of leavesOf(args)) if (leaf instanceof Tensor) return leaf.device;
  throw new ArgumentError(`${name}: no argument is a tensor; name the device in options.device`);
}

/** What stands in `args` where the specs have their leaves. @throws ArgumentError where anything else differs from the specs */
function fedBySpec(
  name: string,
  specs: readonly unknown[],
  places: readonly TreePlace[],
  args: readonly unknown[],
): Fed[] {
  if (args.length > specs.length)
    throw new ArgumentError(
      `${name}: takes ${specs.length} arguments, as options.inputs describes them, got ${args.length}`,
    );
  const fed: Fed[] = [];
  for (let i = 0; i < places.length; i++) {
    const { leaf } = places[i]!;
    const value = places[i]!.in(args);
    if (isInputSpec(leaf)) fed.push(value as Fed);
    else if (!Object.is(leaf, value))
      throw new ArgumentError(`${name}: options.inputs has fixed an argument to ${String(leaf)}, got ${String(value)}`);
  }
  return fed;
}

/** Whether `run` was given what it takes; each step of an engine asks, so it makes nothing. */
function isRun(args: unknown, options: { readonly symbols: SymbolValues }): boolean {
  if (!Array.isArray(args) || typeof options !== 'object' || options === null) return false;
  for (const option in options) if (option !== 'symbols') return false;
  const { symbols } = options;
  return typeof symbols === 'object' && symbols !== null && !Array.isArray(symbols);
}
