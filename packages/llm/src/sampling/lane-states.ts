import {
  ArgumentError,
  cast,
  concat,
  type Device,
  type Dim,
  reshape,
  shiftRight,
  type Tensor,
  type Update,
  where,
} from '@heddle/tensor';
import { accepted, countedAhead, countOfLane, draftsBefore, historyAhead } from './ahead.ts';
import { LaneTable } from './lane-table.ts';
import { MaskTable } from './mask-table.ts';
import { mostWords, mostWordTokens, type SamplingSettings } from './options.ts';
import type { LaneStateName, SampleRows } from './stages/logit-stage.ts';

/** What an engine has room for, as far as sampling goes. */
export interface LaneSizes {
  readonly maxSequences: number;
  /** Tokens of one sequence, prompt and generated. */
  readonly maxSequenceTokens: number;
  readonly vocabularySize: number;
  /** Most drafts of one sequence in a step. Default 0. */
  readonly maxDrafts?: number;
}

/** How many tokens of a lane are there stands behind the last. */
const tablesOf = ({ vocabularySize: V, maxSequenceTokens }: LaneSizes) =>
  ({
    // twice the times that a token was generated, and one more where it stands in the prompt
    counts: { width: V, dtype: 'i32', empty: 0 },
    history: { width: maxSequenceTokens + 1, dtype: 'i32', empty: 0 },
    bias: { width: V, dtype: 'f32', empty: 0 },
    words: { width: mostWords * mostWordTokens, dtype: 'i32', empty: -1 },
  }) as const;

type TableName = Exclude<LaneStateName, 'allowed'>;
type RowState = Omit<SampleRows, 'parameters'>;

/** What is kept of the requests of an engine by lane; each kind is allocated when the first stage or request needs it. */
export class LaneStates {
  readonly #device: Device;
  readonly #sizes: LaneSizes;
  readonly #tables = new Map<TableName, LaneTable>();
  #masks: MaskTable | undefined;

  constructor(device: Device, sizes: LaneSizes) {
    this.#device = device;
    this.#sizes = sizes;
  }

  /**
   * What the tables have of the lanes (i32 `[R]`) of a step. Reading what is not among `needs` throws.
   * @param ahead i32 `[R, K]`: drafts that stand before the rows, as if they had been chosen
   */
  rows(lanes: Tensor, needs: readonly LaneStateName[], stage: string, ahead?: Tensor): RowState {
    const needed = (name: LaneStateName) => {
      if (needs.includes(name)) return;
      throw new ArgumentError(`sampling: stage '${stage}' looks at '${name}', which is not among its needs`);
    };
    const rowsOf = (name: TableName) => {
      needed(name);
      return this.#table(name).rows(lanes);
    };
    const masks = () => {
      needed('allowed');
      return this.#maskTable();
    };
    const { maxSequenceTokens: length, maxSequences } = this.#sizes;
    const counts = () => (ahead ? countedAhead(rowsOf('counts'), ahead) : rowsOf('counts'));
    const lengths = () => rowsOf('history').slice(1, length, length + 1);
    return {
      get generated() {
        return cast(shiftRight(cast(counts(), 'u32'), 1), 'i32');
      },
      get occurred() {
        return counts().greater(0);
      },
      get history() {
        const history = rowsOf('history').slice(1, 0, length);
        return ahead ? historyAhead(history, lengths(), ahead) : history;
      },
      get lengths() {
        return ahead ? lengths().add(reshape(draftsBefore(ahead), [ahead.shape[0] as Dim, 1])) : lengths();
      },
      get bias() {
        return rowsOf('bias');
      },
      get words() {
        return reshape(rowsOf('words'), [lanes.shape[0] as Dim, mostWords, mostWordTokens]);
      },
      get allowed() {
        return masks().rows(ahead ? lanes.add(draftsBefore(ahead).mul(maxSequences)) : lanes);
      },
    };
  }

  /**
   * The chosen tokens (i32 `[R]`) become known to what is kept; negative ones are none, and with drafts before the rows (`ahead`)
   * only what was chosen where the drafts were right.
   */
  record(lanes: Tensor, tokens: Tensor, needs: ReadonlySet<LaneStateName>, ahead?: Tensor): Update[] {
    const counts = ahead ? accepted(tokens, ahead) : tokens.greaterEqual(0);
    const updates: Update[] = [];
    if (needs.has('counts')) {
      // rows of one lane with one token all write the same number
      const more = ahead ? countOfLane(lanes, counts, tokens).mul(2) : 2;
      const table = this.#table('counts');
      updates.push(table.put(lanes, where(counts, tokens, -1), table.at(lanes, tokens.maximum(0)).add(more)));
    }
    if (needs.has('history')) {
      const table = this.#table('history');
      const end = this.#sizes.maxSequenceTokens;
      const ends = tokens.mul(0).add(end);
      const length = table.at(lanes, ends);
      const position = ahead ? length.add(draftsBefore(ahead)) : length;
      const place = where(counts.and(position.less(end)), position, -1);
      const after = (ahead ? length.add(countOfLane(lanes, counts)) : length.add(1)).minimum(end);
      const both = (a: Tensor, b: Tensor) => concat([a, b], 0);
      updates.push(table.put(both(lanes, lanes), both(place, where(place.less(0), -1, ends)), both(tokens, after)));
    }
    return updates;
  }

  /**
   * A lane begins anew.
   * @param generated how many of the tokens were generated
   */
  async begin(
    lane: number,
    { bias, words, allowed }: SamplingSettings,
    { tokens, generated, needs }: { tokens: readonly number[]; generated: number; needs: ReadonlySet<LaneStateName> },
  ): Promise<void> {
    const { maxSequenceTokens, vocabularySize } = this.#sizes;
    const writes: Promise<void>[] = [];
    const write = (name: TableName, places: readonly number[], values: Int32Array | Float32Array | Uint32Array) =>
      writes.push(this.#table(name).write(lane, places, values));
    if (needs.has('counts')) {
      const counts = new Map<number, number>();
      for (const [i, token] of tokens.entries()) {
        const before = counts.get(token) ?? 0;
        counts.set(token, i < tokens.length - generated ? before | 1 : before + 2);
      }
      write('counts', [...counts.keys()], Int32Array.from(counts.values()));
    }
    if (needs.has('history'))
      write('history', [...tokens.keys(), maxSequenceTokens], Int32Array.from([...tokens, tokens.length]));
    if (needs.has('bias')) {
      const known = [...bias].filter(([id]) => id < vocabularySize);
      write(
        'bias',
        known.map(([id]) => id),
        Float32Array.from(known, ([, value]) => value),
      );
    }
    if (needs.has('words')) {
      const places = words.flatMap((word, w) => word.map((_, i) => (w + 1) * mostWordTokens - word.length + i));
      write('words', places, Int32Array.from(words.flat()));
    }
    if (needs.has('allowed'))
      for (let drafts = 0; drafts <= (this.#sizes.maxDrafts ?? 0); drafts++) this.allow(lane, allowed!, drafts);
    await Promise.all([...writes, this.send()]);
  }

  /** The tokens that a request may generate next, or after so many drafts; with all others of a step when they are sent. */
  allow(lane: number, mask: Uint32Array, drafts: number): void {
    this.#maskTable().stage(lane + drafts * this.#sizes.maxSequences, mask);
  }

  /** Writes the masks that were given since the last time, all at once; undefined where there are none. */
  send(): Promise<void> | undefined {
    return this.#masks?.send();
  }

  #maskTable(): MaskTable {
    const { maxSequences, maxDrafts = 0, vocabularySize } = this.#sizes;
    const rows = maxSequences * (1 + maxDrafts);
    this.#masks ??= new MaskTable(this.#device, { name: 'allowed', rows, width: Math.ceil(vocabularySize / 32) });
    return this.#masks;
  }

  #table(name: TableName): LaneTable {
    let table = this.#tables.get(name);
    if (!table) {
      const lanes = this.#sizes.maxSequences;
      table = new LaneTable(this.#device, { name, lanes, ...tablesOf(this.#sizes)[name] });
      this.#tables.set(name, table);
    }
    return table;
  }

  dispose(): void {
    for (const table of this.#tables.values()) table.dispose();
    this.#tables.clear();
    this.#masks?.dispose();
    this.#masks = undefined;
  }
}
