/**
 * What becomes of a state when its sequence goes on: its slot is given back, or it is kept until a later full block has one, or
 * it is kept as long as there is memory.
 */
export type StateRole = 'passing' | 'latest' | 'kept';

/** The state after `position` tokens of a sequence, in a slot of the group of states. */
export interface SavedState {
  readonly position: number;
  slot: number;
  role: StateRole;
}

/** The states of one sequence: the one after its last token, and checkpoints before it. */
export class StateList {
  /** The state after the last token; slot -1, which is zeros, where there is none. */
  current: SavedState = noState;
  /** Ascending positions, all below the length; none is 'passing'. */
  readonly checkpoints: SavedState[] = [];
  /** What the step that was laid out last will save, ascending; the last is the state after its last row. */
  pending: readonly SavedState[] = [];
  /** Where a prompt left those that others have computed without a state being there: one would have been of use. */
  branch = 0;

  /** The state after `position` tokens, if it is there. */
  at(position: number): SavedState | undefined {
    if (position === this.current.position) return this.current;
    if (position === 0) return noState;
    return this.checkpoints.find((one) => one.position === position);
  }
  /** The positions below the current one that have a state, the largest first. */
  *positions(): Iterable<number> {
    for (let i = this.checkpoints.length - 1; i >= 0; i--) yield this.checkpoints[i]!.position;
    yield 0;
  }
  /** Every slot, as often as it is held. */
  *held(): Iterable<number> {
    for (const { slot } of [this.current, ...this.checkpoints, ...this.pending]) if (slot >= 0) yield slot;
  }
}

/** The state before the first token. */
export const noState: SavedState = Object.freeze({ position: 0, slot: -1, role: 'passing' as const });
