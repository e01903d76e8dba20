import { ArgumentError, type Device, type Tensor, type Update, type Variable } from '@heddle/tensor';
import type { StateView } from '../kv-cache.ts';
import { isState, type KvShape } from '../kv-shape.ts';

/** Tensors of a step. */
export interface StateTensors {
  readonly from: Tensor;
  readonly at: Tensor;
  readonly to: Tensor;
}

/** The states of a step, for a model's layers. */
export interface StateStep {
  state(index: number, store: string): StateView;
  save(index: number, states: Readonly<Record<string, Tensor>>): readonly Update[];
}

/** The device memory of states: for each store of each layer, a variable of all slots, of which slot 0 stays zeros. */
export class StatePools {
  readonly #layers: readonly ReadonlyMap<string, Variable>[];
  readonly byteLength: number;

  constructor(device: Device, shape: KvShape, slots: number) {
    const layers: Map<string, Variable>[] = shape.layers.map(() => new Map());
    this.#layers = layers;
    try {
      for (const [layer, stores] of shape.layers.entries())
        for (const [name, store] of Object.entries(stores)) {
          if (!isState(store)) continue;
          const options = { dtype: store.dtype, name: `${name} of layer ${layer}`, owner: 'kv cache' };
          layers[layer]!.set(name, device.zeroVariable([1 + slots, ...store.shape], options));
        }
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.byteLength = this.#variables().reduce((sum, { storage }) => sum + storage!.byteLength, 0);
  }

  /** @param tensors undefined where no layer has states */
  bind(tensors: StateTensors | undefined): StateStep {
    const variable = (index: number, name: string): Variable => {
      const found = this.#layers[index]?.get(name);
      if (found) return found;
      const has = [...(this.#layers[index]?.keys() ?? [])].join(', ');
      throw new ArgumentError(
        `cache: layer ${index} of ${this.#layers.length} has ${has ? `the states ${has}` : 'no states'}, there is no ${name}`,
      );
    };
    return {
      state: (index, name) => ({ pool: variable(index, name), from: tensors!.from, at: tensors!.at }),
      save: (index, states) => {
        for (const name of this.#layers[index]?.keys() ?? [])
          if (!states[name]) throw new ArgumentError(`save: layer ${index} must save ${name}, and it is missing`);
        return Object.entries(states).map(([name, value]) => {
          const pool = variable(index, name);
          return pool.scatter(tensors!.to, value.cast(pool.dtype));
        });
      },
    };
  }

  /** The stores in their order, by slot. */
  get parts(): readonly Variable[] {
    return this.#variables();
  }

  dispose(): void {
    for (const variable of this.#variables()) variable.dispose();
  }

  #variables(): Variable[] {
    return this.#layers.flatMap((byName) => [...byName.values()]);
  }
}
