import type { RotarySpec } from '@heddle/attention';
import { byteSize, type Device } from '@heddle/tensor';
import { type ModelRotary, modelRotary, modelRotaryBytes, type RowPlaces, type RowRotation } from '../length-rotary.ts';
import type { DecoderLayout } from './layout.ts';

/** How the rows of one pass turn, by the rotary embedding of a layer. */
export interface RowRotations {
  of(spec: RotarySpec): RowRotation;
}

/** The rotary embeddings of a decoder; layers with equal ones share a table. */
export class Rotations {
  readonly #byKey: Map<string, ModelRotary> = new Map();

  /** @throws ArgumentError, OutOfMemoryError; then nothing is left on the device */
  constructor(device: Device, layout: DecoderLayout, maxPositions: number) {
    try {
      for (const [key, spec] of specsOf(layout)) this.#byKey.set(key, modelRotary(device, spec, maxPositions));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** See `CausalLm.lengthScaling`. */
  get lengthScaling(): { readonly recomputeBeyond?: number } | undefined {
    const scalings = [...this.#byKey.values()].flatMap(({ lengthScaling }) => lengthScaling ?? []);
    if (scalings.length === 0) return undefined;
    const beyond = scalings.flatMap(({ recomputeBeyond }) => recomputeBeyond ?? []);
    return beyond.length === 0 ? {} : { recomputeBeyond: Math.min(...beyond) };
  }

  rows(places: RowPlaces): RowRotations {
    const made = new Map<string, RowRotation>();
    return {
      of: (spec) => {
        const key = keyOf(spec);
        const rotation = made.get(key) ?? this.#byKey.get(key)!.rows(places);
        made.set(key, rotation);
        return rotation;
      },
    };
  }

  dispose(): void {
    for (const rotary of this.#byKey.values()) rotary.dispose();
  }
}

/** Bytes of a device that the tables of positions of a decoder take. */
export function tableBytes(layout: DecoderLayout, maxPositions: number): number {
  const rotary = [...specsOf(layout).values()].reduce((sum, spec) => sum + modelRotaryBytes(spec, maxPositions), 0);
  return rotary + (layout.embedding.sinusoidal ? maxPositions * layout.hiddenSize * byteSize.f32 : 0);
}

function specsOf({ layers }: DecoderLayout): ReadonlyMap<string, RotarySpec> {
  const specs = layers.flatMap(({ mixer: { part } }) => ('rotary' in part && part.rotary ? [part.rotary] : []));
  return new Map(specs.map((spec) => [keyOf(spec), spec]));
}

const keyOf = (spec: RotarySpec): string => JSON.stringify(spec);
