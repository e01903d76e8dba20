import { checkArguments } from '../../../checks/check-arguments.ts';
import { checkOptions } from '../../../checks/check-options.ts';
import type { InputSpec } from '../../../compile/input-spec.ts';
import { buildGraph } from '../../../graph/build.ts';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { ConcreteType } from '../../../shape.ts';
import { convertGraph, isLoweredToOnnx } from '../convert.ts';
import { encodeModel } from '../model.ts';
import { dataFileOf, type OnnxFile, writeOnnxFile } from './onnx-file.ts';
import { recordExample } from './record-example.ts';
import { type Stored, standAlone } from './stand-alone.ts';
import { chosenNames, renameValues } from './value-names.ts';

/** Arguments that stand for those of a run: wherever the function takes a tensor, a tensor or a description of one. */
export type Example<T> = T extends Tensor
  ? Tensor | InputSpec
  : T extends object
    ? { [K in keyof T]: Example<T[K]> }
    : T;

/** Names, sizes and places of what `exportOnnx` writes. */
export interface ExportOptions {
  /** Where the function's own tensors are; by default the device of the first tensor among the arguments. */
  readonly device?: Device;
  /** The largest size of each symbolic dimension. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** Names of the inputs in order; by default `input0`, `input1` ... for tensors that are arguments, and their path in trees. */
  readonly inputNames?: readonly string[];
  /** Names of the outputs in order; by default `output`, `output0`, `output1` ... in an array, and their path in trees. */
  readonly outputNames?: readonly string[];
  /** Where to write the file. */
  readonly path?: string;
  /** Bytes of weights from which on they lie in a file beside the model; by default 64 MiB. A model in one file ends at 2 GiB. */
  readonly externalAbove?: number;
}

/**
 * Writes a function of tensors as an .onnx file, which a session of ONNX Runtime runs with the same results.
 *
 * The function is recorded once, on any device, with placeholders for the tensors of `example`. Its other arguments are fixed;
 * tensors and variables that it uses from outside become initialisers with the values of now. Sizes that are names are
 * dimensions of any size. A size that the function uses and no input shows is an input of its own, int64 `[1]`, `size.NAME`.
 * Where `com.microsoft` has the faster operator the file uses it.
 *
 * Weights of more than `externalAbove` bytes lie beside the model: at `path` in one file with `.data` behind the name, else in
 * `externalData`, which a session takes as its option of that name.
 * @throws ArgumentError for results that are no tensors (updates of variables) and names that do not fit; DeviceError for an
 *   operation that ONNX Runtime has no way to compute; FileFormatError where `path` cannot be written
 */
export async function exportOnnx<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  example: Example<A>,
  options: ExportOptions = {},
): Promise<OnnxFile> {
  checkArguments('exportOnnx', 'function', { fn });
  checkArguments('exportOnnx', 'list', { example });
  checkOptions('exportOnnx', options, {
    device: 'device?',
    symbols: 'object?',
    inputNames: 'texts?',
    outputNames: 'texts?',
    path: 'text?',
    externalAbove: 'whole?',
  });
  if (options.symbols) checkArguments('exportOnnx', 'size', { ...options.symbols });
  const { path, externalAbove } = options;
  const { device, inputs, outputs } = recordExample(
    fn as (...args: never[]) => unknown,
    example as readonly unknown[],
    options.symbols ?? {},
    options.device,
  );
  const pathsOf = (list: readonly { readonly path: string }[]) => list.map((placed) => placed.path);
  const inputNames = chosenNames('input', options.inputNames, pathsOf(inputs));
  const outputNames = chosenNames('output', options.outputNames, pathsOf(outputs), inputNames);
  const tensorsOf = (list: readonly { readonly tensor: Tensor }[]) => list.map((placed) => placed.tensor);
  const recording = { outputs: tensorsOf(outputs), updates: [], inputs: tensorsOf(inputs) };
  const { graph } = buildGraph({ name: 'onnx', lowers: isLoweredToOnnx }, recording, 'constants');

  const stored = new Map<Tensor, Stored>();
  for (const leaf of [...graph.constants, ...graph.variables])
    stored.set(leaf, { type: leaf as ConcreteType, data: await device.read(leaf) });
  const valuesOf = (tensor: Tensor) => stored.get(tensor)!;
  const conversion = convertGraph(graph, { bakes: () => true, valuesOf });

  const { model, fixed, wanted } = standAlone(graph, conversion, valuesOf, inputNames, outputNames);
  const named = renameValues(model, fixed, wanted);
  const encoded = encodeModel(named, {
    ...(externalAbove === undefined ? {} : { externalAbove }),
    externalFile: path === undefined ? undefined : dataFileOf(path),
  });
  if (path !== undefined) await writeOnnxFile(path, encoded);
  return { ...encoded, inputs: named.inputs, outputs: named.outputs };
}
