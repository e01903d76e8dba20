import type { ModelConfig } from '../../config.ts';
import type { DecoderLayout, LayerLayout } from '../../models/decoder/layout.ts';
import type { GgufField } from '../gguf-field.ts';
import type { Arrangement } from './arrangement.ts';

/** How llama.cpp writes the models of a family. */
export interface GgufFamily {
  /** What Hugging Face calls it. */
  readonly architecture: string;
  /** Hugging Face's names of weights outside of layers, and the file's, both without `.weight` and `.bias`. */
  readonly whole: Readonly<Record<string, string>>;
  /** What stands before the number of a layer in Hugging Face's names. */
  readonly prefix: string;
  /** Names within a layer, ours and the file's, without `.weight` and `.bias`. */
  readonly layer: Readonly<Record<string, string>>;
  /** Weights of a layer, by their whole names within it, that are not in the file as they are here. */
  readonly arranged?: (layer: LayerLayout) => Readonly<Record<string, Arrangement>>;
  /** Whether rows of queries and keys are in pairs of neighbours rather than in halves. */
  readonly pairedRows?: boolean;
  /** Norms, by what their names contain, of which the file has the weights plus 1. */
  readonly normsPlusOne?: RegExp;
  /** Whether `rope.dimension_count` may be a part of a head. */
  readonly rotatesParts?: boolean;
  /** Whether its configuration has none of the usual names. */
  readonly ownNames?: boolean;
  /** Every so many layers one has no window, where the file does not say which. */
  readonly windowPeriod?: number;
  /** Fields of the configuration by the key that has them, in both directions where they are numbers. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Further keys that are read. */
  readonly keys?: readonly string[];
  /** Fields that no key has. */
  readonly config?: (keys: GgufKeys) => object;
  /** Fields of rotary scaling that no key has. */
  readonly scaling?: (keys: GgufKeys) => object;
  /** What a file says of a model beside its sizes, without the architecture before the keys. */
  readonly written?: (layout: DecoderLayout, config: ModelConfig) => Readonly<Record<string, GgufField | undefined>>;
  /** Divisors of rotary frequencies that it has in a tensor. */
  readonly divisors?: (layout: DecoderLayout) => readonly number[] | undefined;
}

/** What a file says of a model: keys without the architecture before them. */
export interface GgufKeys {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly headDim: number;
  has(key: string): boolean;
  isList(key: string): boolean;
  /** A number, or the same for every layer. */
  number(key: string): number | undefined;
  /** A number for each layer, also where there is one for all. */
  perLayer(key: string): readonly number[] | undefined;
  /** True or false for each layer, also where there is one for all. */
  flags(key: string): readonly boolean[] | undefined;
  hasTensor(name: string): boolean;
  /** The first size of a tensor. */
  rows(name: string): number | undefined;
  /** Divisors of the rotary frequencies. */
  readonly divisors: readonly number[] | undefined;
  fail(key: string, expected: string): never;
}
