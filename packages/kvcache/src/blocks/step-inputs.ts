import { ArgumentError, type Dim, type InputSpec, type SymbolValues, type Tensor } from '@heddle/tensor';
import type { StateTensors } from '../storage/state-pools.ts';
import type { StepTensors } from '../storage/store-pools.ts';

/** Names of the inputs of a group of rows. */
export const tableName = (group: number): string => (group === 0 ? 'blockTable' : `blockTable${group}`);
export const slotsName = (group: number): string => (group === 0 ? 'slots' : `slots${group}`);
/** Names of the inputs of states. */
export const positionsName = 'keyPositions';
export const stateNames = { from: 'stateFrom', at: 'stateAt', to: 'stateTo' } as const;

/** What a compiled step takes for a cache in blocks. */
export interface StepInputSizes {
  readonly rowGroups: number;
  readonly maxSequences: number;
  /** Blocks of one sequence. */
  readonly maxBlocks: number;
  /** The most states that a step saves; 0 where there are none. */
  readonly maxSaves: number;
  /** Slots whose positions a step is told; 0 where a token's place says its position. */
  readonly positionSlots: number;
}

/** The inputs, and the bounds of their symbols. */
export function stepInputs({ rowGroups, maxSequences, maxBlocks, maxSaves, positionSlots }: StepInputSizes): {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly symbols: SymbolValues;
} {
  const i32 = (...sizes: (number | string)[]): InputSpec => ({ shape: sizes, dtype: 'i32' });
  const inputs: Record<string, InputSpec> = { lengths: i32('B') };
  for (let group = 0; group < rowGroups; group++) {
    inputs[tableName(group)] = i32('B', maxBlocks === 1 ? 1 : 'N');
    inputs[slotsName(group)] = i32('T');
  }
  if (positionSlots > 0) inputs[positionsName] = i32(positionSlots);
  if (maxSaves > 0) {
    inputs[stateNames.from] = i32('B');
    inputs[stateNames.at] = i32('W');
    inputs[stateNames.to] = i32('W');
  }
  const symbols = {
    B: maxSequences,
    ...(maxBlocks > 1 && rowGroups > 0 && { N: maxBlocks }),
    ...(maxSaves > 0 && { W: maxSaves }),
  };
  return { inputs, symbols };
}

/** The same as tensors, by what they are for. @throws ArgumentError naming one that is missing */
export function boundInputs(
  given: Readonly<Record<string, Tensor>>,
  { rowGroups, maxSaves, positionSlots }: StepInputSizes,
  maxLength: Dim,
  names: readonly string[],
): { readonly rows: StepTensors; readonly states: StateTensors | undefined } {
  const input = (name: string): Tensor => {
    const tensor = given[name];
    if (!tensor) throw new ArgumentError(`bind: takes ${names.join(', ')}, ${name} is missing`);
    return tensor;
  };
  const byGroup = (nameOf: (group: number) => string) => Array.from({ length: rowGroups }, (_, g) => input(nameOf(g)));
  const { from, at, to } = stateNames;
  return {
    rows: {
      lengths: input('lengths'),
      blockTables: byGroup(tableName),
      slots: byGroup(slotsName),
      keyPositions: positionSlots > 0 ? input(positionsName) : undefined,
      maxLength,
    },
    states: maxSaves > 0 ? { from: input(from), at: input(at), to: input(to) } : undefined,
  };
}
