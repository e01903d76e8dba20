import type { OnnxAttribute, OnnxType, OnnxTyped } from '../../graph/onnx-lowering.ts';
import { Message } from './protobuf.ts';

/** Element types by their number in onnx.proto. */
export const elementTypes: Readonly<Record<OnnxType, number>> = {
  f32: 1,
  f16: 10,
  i32: 6,
  u32: 12,
  bool: 9,
  i64: 7,
  f64: 11,
  u8: 2,
  bf16: 16,
  q8_0: 2,
  q4_0: 2,
  mxfp4: 2,
  q4_k: 2,
  q5_k: 2,
  q6_k: 2,
};

/** A graph input or output. A string is the name of a size that is known only in a run. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly (number | string)[];
}
/** A value that is part of the model. */
export interface OnnxInitializer {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}
export interface OnnxNode {
  readonly name: string;
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  /** Of a loop: what it does in each turn. */
  readonly body?: OnnxBody;
}
/** The graph within a node. It may use values of the graph around it. */
interface OnnxBody {
  readonly inputs: readonly OnnxTyped[];
  readonly outputs: readonly OnnxTyped[];
  readonly nodes: readonly OnnxNode[];
}
export interface OnnxModel {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxInitializer[];
  readonly nodes: readonly OnnxNode[];
}

/** Bytes of an initialiser that lie beside a model: in a file, or as a session takes them with the bytes of the model. */
export interface ExternalData {
  readonly path: string;
  /** Where in the file they begin. */
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Bytes of a model, and those initialisers that lie beside it, as the runtime takes them. */
export interface EncodedModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly externalData: readonly ExternalData[];
}

export interface EncodingOptions {
  /** Bytes of initialisers from which on they lie beside the model; by default 64 MiB. */
  readonly externalAbove?: number;
  /** The one file that they lie in, next to the model; by default each is by itself. */
  readonly externalFile?: string | undefined;
}

/** Operator sets whose rules the nodes follow. */
const operatorSets: Readonly<Record<string, number>> = { '': 23, 'com.microsoft': 1 };
const irVersion = 10;
/** The runtime infers shapes from small initialisers: those always stay inside. */
const smallestExternal = 1024;
/** What is in one file begins at multiples of this, so that it can be mapped into memory. */
const pageSize = 4096;

/**
 * Encodes a model as the bytes of an .onnx file. Where its initialisers take more than `externalAbove` bytes (a protobuf
 * ends at 2 GiB) all but small ones become external data: referred to, not copied.
 * The format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
export function encodeModel(model: OnnxModel, options: EncodingOptions = {}): EncodedModel {
  const { externalAbove = 64 * 2 ** 20, externalFile } = options;
  const total = model.initializers.reduce((bytes, { data }) => bytes + data.byteLength, 0);
  const externalData: ExternalData[] = [];
  let end = 0;
  const graph = new Message();
  for (const node of model.nodes) graph.message(1, nodeMessage(node));
  graph.string(2, 'heddle');
  for (const initializer of model.initializers) {
    const { data } = initializer;
    let external: ExternalData | undefined;
    if (total > externalAbove && data.byteLength >= smallestExternal) {
      external = {
        path: externalFile ?? `data${externalData.length}`,
        offset: externalFile === undefined ? 0 : Math.ceil(end / pageSize) * pageSize,
        data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      };
      end = external.offset + data.byteLength;
      externalData.push(external);
    }
    graph.message(5, tensorMessage(initializer, external));
  }
  for (const value of model.inputs) graph.message(11, valueMessage(value));
  for (const value of model.outputs) graph.message(12, valueMessage(value));
  const out = new Message().int(1, irVersion).string(2, 'heddle').message(7, graph);
  const domains = new Set(['', ...model.nodes.map(({ domain }) => domain)]);
  for (const domain of domains) out.message(8, new Message().string(1, domain).int(2, operatorSets[domain]!));
  return { bytes: out.finish(), externalData };
}

function nodeMessage({ name, type, domain, inputs, outputs, attributes, body }: OnnxNode): Message {
  const out = new Message();
  for (const input of inputs) out.string(1, input);
  for (const output of outputs) out.string(2, output);
  out.string(3, name).string(4, type);
  for (const [key, value] of Object.entries(attributes)) out.message(5, attributeMessage(key, value));
  if (body) out.message(5, new Message().string(1, 'body').message(6, bodyMessage(body, name)).int(20, 5));
  return out.string(7, domain);
}

function bodyMessage({ inputs, outputs, nodes }: OnnxBody, name: string): Message {
  const out = new Message();
  for (const node of nodes) out.message(1, nodeMessage(node));
  out.string(2, name);
  const typed = ({ value, type }: OnnxTyped, isScalar: boolean) => {
    const tensor = new Message().int(1, elementTypes[type]);
    if (isScalar) tensor.message(2, new Message());
    return new Message().string(1, value).message(2, new Message().message(1, tensor));
  };
  // the number of the turn and whether there is a next one; all others may have any shape
  for (const [i, input] of inputs.entries()) out.message(11, typed(input, i < 2));
  for (const [i, output] of outputs.entries()) out.message(12, typed(output, i < 1));
  return out;
}

function attributeMessage(name: string, value: OnnxAttribute): Message {
  const out = new Message().string(1, name);
  if (typeof value === 'string') return out.string(4, value).int(20, 3);
  if (typeof value === 'number') return out.int(3, value).int(20, 2);
  if ('float' in value) return out.float(2, value.float).int(20, 1);
  for (const entry of value) out.int(8, entry);
  return out.int(20, 7);
}

function valueMessage({ name, type, shape }: OnnxValue): Message {
  const sizes = new Message();
  for (const size of shape)
    sizes.message(1, typeof size === 'number' ? new Message().int(1, size) : new Message().string(2, size));
  const tensor = new Message().int(1, elementTypes[type]).message(2, sizes);
  return new Message().string(1, name).message(2, new Message().message(1, tensor));
}

function tensorMessage({ name, type, shape, data }: OnnxInitializer, external: ExternalData | undefined): Message {
  const out = new Message();
  for (const size of shape) out.int(1, size);
  out.int(2, elementTypes[type]).string(8, name);
  if (!external) return out.bytes(9, data);
  const entry = (key: string, value: string) => out.message(13, new Message().string(1, key).string(2, value));
  entry('location', external.path);
  entry('offset', String(external.offset));
  entry('length', String(data.byteLength));
  return out.int(14, 1);
}
