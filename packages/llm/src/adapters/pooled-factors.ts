import {
  ArgumentError,
  cast,
  type Device,
  dimsEqual,
  expertMatmul,
  pad,
  ShapeError,
  type Tensor,
  type Update,
  type Variable,
} from '@heddle/tensor';
import { isTarget, type Lora } from '@heddle/trainer/lora';
import { checkAdapter, siteOf } from '../models/adapter-sites.ts';
import type { CausalLm, ForwardAdapters } from '../models/causal-lm.ts';

/** The factors of all adapters for one layer, with the scale in the second one; those of place 0 are zeros. */
interface SiteFactors {
  /** f32 `[places, rank, In]` */
  readonly a: Variable;
  /** f32 `[places, Out, rank]` */
  readonly b: Variable;
  /** f32 `[places, Out]`, scaled, too. */
  readonly bias: Variable | undefined;
}

type PooledModel = Pick<CausalLm, 'parameters' | 'device' | 'config'>;

/** Factors of several adapters on a device, for the layers of a model that they may change. */
export class PooledFactors {
  readonly #model: Pick<CausalLm, 'parameters'>;
  readonly #device: Device;
  readonly #rank: number;
  readonly #sites = new Map<string, SiteFactors>();

  /** @throws ArgumentError where no layer is a target; OutOfMemoryError, then nothing is left on the device */
  constructor(
    model: PooledModel,
    {
      places,
      rank,
      biases,
      targets,
    }: {
      readonly places: number;
      readonly rank: number;
      readonly biases: boolean;
      readonly targets: readonly string[] | undefined;
    },
  ) {
    this.#model = model;
    this.#device = model.device;
    this.#rank = rank;
    const made: Variable[] = [];
    try {
      for (const weight of sitesOf(model, targets)) {
        const [outputs, inputs] = weight.shape as readonly [number, number];
        const site = siteOf(weight);
        const zeros = (part: string, ...shape: number[]) => {
          const variable = this.#device.zeroVariable([places, ...shape], {
            name: `${site}.${part}`,
            owner: 'adapters',
          });
          made.push(variable);
          return variable;
        };
        this.#sites.set(site, {
          a: zeros('lora_A', rank, inputs),
          b: zeros('lora_B', outputs, rank),
          bias: biases ? zeros('lora_B.bias', outputs) : undefined,
        });
      }
    } catch (error) {
      for (const variable of made) variable.dispose();
      throw error;
    }
    if (this.#sites.size === 0) throw new ArgumentError(`createAdapterPool: no layer is a target: ${String(targets)}`);
  }

  get byteLength(): number {
    let values = 0;
    for (const { a, b, bias } of this.#sites.values())
      for (const { shape } of bias ? [a, b, bias] : [a, b]) values += product(shape as number[]);
    return values * 4;
  }

  /** Writes an adapter to a place: its factors, zeros in layers for which it has none. @throws ArgumentError, ShapeError */
  async write(place: number, lora: Lora): Promise<void> {
    checkAdapter(this.#model, lora);
    for (const [site, { a, bias }] of lora.factors) {
      if (!this.#sites.has(site))
        throw new ArgumentError(`adapters: it changes '${site}', which is none of the pool's targets`);
      if (bias && !this.#sites.get(site)!.bias)
        throw new ArgumentError(`adapters: '${site}' has a bias in the adapter; make the pool with { biases: true }`);
      if ((a.shape[0] as number) > this.#rank)
        throw new ArgumentError(
          `adapters: '${site}' has rank ${String(a.shape[0])}, the pool takes ${this.#rank} (maxRank)`,
        );
    }
    const rows = this.#device.tensor(Int32Array.of(place));
    const updates: Update[] = [];
    const zeros = (pooled: Variable) => this.#device.zeros([1, ...(pooled.shape.slice(1) as number[])]);
    for (const [site, { a, b }] of this.#sites) {
      const own = lora.factors.get(site);
      // ranks below the pool's are filled up with zeros
      const whole = (x: Tensor, pooled: Variable) => {
        const shape = pooled.shape.slice(1) as number[];
        const missing = shape.map((size, axis) => size - (x.shape[axis] as number));
        return pad(cast(x, 'f32'), [0, 0], missing).reshape([1, ...shape]);
      };
      updates.push(a.scatter(rows, own ? whole(own.a, a) : zeros(a)));
      updates.push(b.scatter(rows, own ? whole(own.b.mul(own.scale), b) : zeros(b)));
    }
    for (const [site, { bias }] of this.#sites) {
      const own = lora.factors.get(site)?.bias;
      const scale = lora.factors.get(site)?.scale;
      if (bias) updates.push(bias.scatter(rows, own ? own.mul(scale!).reshape([1, bias.shape[1]!]) : zeros(bias)));
    }
    try {
      await this.#device.realize([], updates);
    } finally {
      rows.dispose();
    }
  }

  /** See RequestAdapters. */
  ofRows(places: Tensor, rows: Tensor): ForwardAdapters {
    const column = (values: Tensor) => values.reshape([values.shape[0]!, 1]);
    const ofAll = column(places);
    const ofWanted = column(places.take(rows));
    return {
      changes: (site) => this.#sites.has(site),
      add: (site, x, y) => {
        const own = this.#sites.get(site);
        if (!own) return y;
        const [count] = x.shape;
        const chosen = [ofAll, ofWanted].find(({ shape }) => dimsEqual(shape[0]!, count!));
        if (x.rank !== 2 || !chosen)
          throw new ShapeError(`adapters: '${site}' takes [${String(x.shape)}], not one row for each token`);
        const inner = expertMatmul(cast(x, 'f32'), own.a, chosen);
        const change = expertMatmul(inner, own.b, chosen).reshape(y.shape);
        return y.add(own.bias ? change.add(own.bias.take(chosen.reshape([count!]))) : change);
      },
    };
  }

  /** Idempotent. */
  dispose(): void {
    for (const { a, b, bias } of this.#sites.values()) for (const each of [a, b, bias]) each?.dispose();
  }
}

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** The weights of the linear layers that adapters may change: tables of embeddings are none. */
function sitesOf({ parameters, config }: PooledModel, targets: readonly string[] | undefined): Variable[] {
  const { layout, tieWordEmbeddings } = config;
  const { embedding, perLayerEmbedding, head, layers } = layout;
  const never = new Set([embedding.site, embedding.positions?.site, perLayerEmbedding?.site]);
  // what makes keys of latent rows is taken into the queries where rows are cached
  for (const { mixer } of layers) if (mixer.part.kind === 'latent-attention') never.add(mixer.part.up.site);
  if (tieWordEmbeddings || !targets) never.add(head.site);
  return parameters.filter((weight) => {
    const site = siteOf(weight);
    if (weight.rank !== 2 || site === weight.name || never.has(site)) return false;
    return !targets || isTarget(targets, site);
  });
}
