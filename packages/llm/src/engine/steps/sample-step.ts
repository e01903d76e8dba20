import {
  type CompiledFunction,
  compile,
  type Device,
  type SymbolValues,
  type Tensor,
  type Update,
  type Variable,
} from '@heddle/tensor';
import { type LogprobRows, logprobsOf } from '../../sampling/logprobs.ts';
import type { DeviceSampling, SampleColumn, SampledRow, SamplePlan } from '../../sampling/sample-plan.ts';
import { HostColumn } from './host-column.ts';

interface Inputs {
  readonly logits: Tensor;
  readonly lanes: Tensor;
  readonly columns: Readonly<Record<string, Tensor>>;
  readonly ahead?: Tensor;
}
interface Outputs {
  readonly tokens: Tensor;
  readonly updates: readonly Update[];
}
type Plan = CompiledFunction<[Inputs], Outputs>;

/** A request of which a token is chosen. */
export interface ChoosingRequest {
  readonly lane: number;
  readonly sampler: SampledRow['sampler'];
  readonly sequence: number;
  /** How many of the most likely tokens its log-probabilities are wanted with; undefined where none are wanted. */
  readonly topLogprobs?: number | undefined;
}

/** What was asked of the device for one step: copies to the host that are under way. */
export interface Sampled {
  /** By row: the chosen token, or what is wrong with its logits; undefined where nothing is chosen. */
  readonly tokens: Promise<Int32Array>;
  /** `[R, V]`, where a sampler of the host chooses. */
  readonly logits: Promise<Float32Array> | undefined;
  /** Where a request of the step wants them. */
  readonly logprobs: Promise<LogprobRows<ArrayLike<number>>> | undefined;
}

const constructors = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };

/** Chooses the tokens of a step on the device, from the logits that its forward pass has left there. */
export class SampleStep {
  readonly #device: Device;
  readonly #sampling: DeviceSampling;
  readonly #chosen: Variable;
  readonly #maxRows: number;
  readonly #onePlan: boolean;
  readonly #vocabularySize: number;
  readonly #maxDrafts: number;
  readonly #plans: (Plan | undefined)[] = [];
  /** Of steps with drafts, where a plan looks back. */
  readonly #verifying: (Plan | undefined)[] = [];
  readonly #ahead: HostColumn<Int32Array>;
  #logprobs: CompiledFunction<[Tensor, Tensor], LogprobRows> | undefined;
  readonly #columns: readonly Readonly<Record<string, HostColumn<SampleColumn>>>[];
  readonly #lanes: HostColumn<Int32Array>;
  /** The columns of a step, used again. */
  readonly #fed: readonly Record<string, SampleColumn>[];

  /** @param chosen i32, by lane: where the tokens are left for the next step */
  constructor(
    device: Device,
    sampling: DeviceSampling,
    chosen: Variable,
    sizes: {
      readonly maxRows: number;
      readonly vocabularySize: number;
      readonly maxDrafts?: number;
      /** Whether steps of all sizes run the plans of the largest. */
      readonly onePlan?: boolean;
    },
  ) {
    this.#device = device;
    this.#sampling = sampling;
    this.#chosen = chosen;
    this.#maxRows = sizes.maxRows;
    this.#onePlan = sizes.onePlan ?? false;
    this.#vocabularySize = sizes.vocabularySize;
    this.#maxDrafts = sizes.maxDrafts ?? 0;
    this.#ahead = new HostColumn(new Int32Array(sizes.maxRows * this.#maxDrafts));
    this.#lanes = new HostColumn(new Int32Array(sizes.maxRows));
    this.#columns = sampling.plans.map(({ columns }) =>
      Object.fromEntries(
        Object.entries(columns).map(([name, dtype]) => [name, new HostColumn(new constructors[dtype](sizes.maxRows))]),
      ),
    );
    this.#fed = sampling.plans.map(() => ({}));
  }

  /** Whether a sampler chooses on the host. */
  choosesOnHost({ sampler }: Pick<ChoosingRequest, 'sampler'>): boolean {
    return this.#sampling.planOf(sampler) === undefined;
  }

  /** Says which tokens the request of a lane may generate next, or after so many drafts. */
  allow(lane: number, mask: Uint32Array, drafts: number): void {
    this.#sampling.allow!(lane, mask, drafts);
  }

  /**
   * Chooses for all rows. Resolves when everything is on its way to the device, copies to the host too: then the next step may
   * be submitted.
   * @param indices by row: how many tokens its request has generated, drafts included
   * @param before by row, in steps with drafts: those that stand before it and were not chosen yet
   */
  async run(
    logits: Tensor,
    requests: readonly ChoosingRequest[],
    indices: readonly number[],
    before?: readonly (readonly number[])[],
  ): Promise<Sampled> {
    const which = this.#planFor(requests);
    const R = requests.length;
    const plan = this.#sampling.plans[which]!;
    const lanes = this.#lanes.of(R);
    const columns = this.#fed[which]!;
    for (const [name, column] of Object.entries(this.#columns[which]!)) columns[name] = column.of(R);
    for (let row = 0; row < R; row++) {
      const { lane, sampler, sequence } = requests[row]!;
      lanes[row] = lane;
      plan.fill(columns, row, { sampler, sequence, index: indices[row]! });
    }
    const onHost = requests.some((request) => this.choosesOnHost(request));
    // asked for first, so that it is copied before the next forward pass overwrites it
    const values = onHost ? (logits.data() as Promise<Float32Array>) : undefined;
    values?.catch(() => {}); // who waits for it sees that; until then it is nobody's
    const ahead = before && plan.drafts === 'ahead' ? { ahead: this.#aheadOf(before) } : {};
    const run = this.#plan(which, 'ahead' in ahead);
    const { tokens } = await run.run([{ logits, lanes, columns, ...ahead }], { symbols: {} });
    const chosen = read(tokens);
    if (!requests.some(({ topLogprobs }) => topLogprobs !== undefined))
      return { tokens: chosen, logits: values, logprobs: undefined };
    this.#logprobs ??= this.#compileLogprobs();
    const rows = await this.#logprobs(logits, tokens);
    const copies = Promise.all([rows.chosen.data(), rows.topTokens.data(), rows.top.data()]);
    copies.catch(() => {});
    const logprobs = copies.then(([ofChosen, topTokens, top]) => ({ chosen: ofChosen, topTokens, top }));
    logprobs.catch(() => {});
    return { tokens: chosen, logits: values, logprobs };
  }

  /** For steps that choose nothing: resolves when the device has done all that was submitted. */
  none(): Sampled {
    return { tokens: read(this.#chosen), logits: undefined, logprobs: undefined };
  }

  /** Compiles and allocates for steps of these sizes, all with this sampler. */
  async prepare(sizes: readonly SymbolValues[], sampler: SampledRow['sampler']): Promise<void> {
    const rowsOf = (some: readonly SymbolValues[]) => [...new Set(some.map((each) => each['R']!))].map((R) => ({ R }));
    const which = this.#planFor([{ sampler }]);
    await this.#plan(which).warm({ buckets: rowsOf(sizes) });
    if (this.#sampling.plans[which]!.drafts !== 'ahead') return;
    // more rows than sequences are those of drafts
    const verifying = rowsOf(sizes.filter(({ R, B }) => R! > B!));
    if (this.#maxDrafts > 0 && verifying.length > 0) await this.#plan(which, true).warm({ buckets: verifying });
  }

  explain(): string {
    return [...this.#plans, ...this.#verifying].flatMap((plan) => plan?.explain() ?? []).join('\n');
  }

  dispose(): void {
    for (const plan of [...this.#plans, ...this.#verifying]) plan?.dispose();
    this.#logprobs?.dispose();
    this.#sampling[Symbol.dispose]();
  }

  /** Which plan a request gets where it is by itself; in company it may be a dearer one, with the same result but for rounding. */
  kindOf(request: Pick<ChoosingRequest, 'sampler'>): number {
    return this.#planFor([request]);
  }

  /** The cheapest plan that does what all of these want; samplers of the host want to know whether logits are usable. */
  #planFor(requests: readonly Pick<ChoosingRequest, 'sampler'>[]): number {
    let which = 0;
    for (const { sampler } of requests) which = Math.max(which, this.#sampling.planOf(sampler) ?? 0);
    return which;
  }

  #plan(which: number, ahead = false): Plan {
    const plans = ahead ? this.#verifying : this.#plans;
    plans[which] ??= this.#compile(this.#sampling.plans[which]!, ahead);
    return plans[which];
  }

  #aheadOf(before: readonly (readonly number[])[]): { readonly data: Int32Array; readonly shape: number[] } {
    const K = this.#maxDrafts;
    const data = this.#ahead.of(before.length * K).fill(-1);
    for (const [row, drafts] of before.entries()) data.set(drafts, row * K);
    return { data, shape: [before.length, K] };
  }

  #compileLogprobs(): CompiledFunction<[Tensor, Tensor], LogprobRows> {
    return compile(logprobsOf, {
      device: this.#device,
      name: 'log-probabilities',
      inputs: [{ shape: ['R', this.#vocabularySize] }, { shape: ['R'], dtype: 'i32' }],
      symbols: { R: this.#maxRows },
      onePlan: this.#onePlan,
    });
  }

  #compile(plan: SamplePlan, ahead: boolean): Plan {
    const chosen = this.#chosen;
    return compile(
      (inputs: Inputs): Outputs => {
        const { tokens, updates } = plan.record(inputs);
        return { tokens, updates: [...updates, chosen.scatter(inputs.lanes, tokens)] };
      },
      {
        device: this.#device,
        name: `sampling (${plan.name}${ahead ? ', of drafts' : ''})`,
        inputs: [
          {
            logits: { shape: ['R', this.#vocabularySize], dtype: 'f32' },
            lanes: { shape: ['R'], dtype: 'i32' },
            ...(ahead && { ahead: { shape: ['R', this.#maxDrafts], dtype: 'i32' } as const }),
            columns: Object.fromEntries(
              Object.entries(plan.columns).map(([column, dtype]) => [column, { shape: ['R'], dtype }]),
            ),
          },
        ],
        symbols: { R: this.#maxRows },
        onePlan: this.#onePlan,
      },
    );
  }
}

/** The values as they are now, on their way to the host. */
function read(tensor: Tensor): Promise<Int32Array> {
  const values = tensor.data() as Promise<Int32Array>;
  values.catch(() => {}); // a step before it may be waited for first
  return values;
}
