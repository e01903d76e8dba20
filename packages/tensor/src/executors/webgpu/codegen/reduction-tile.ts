/** How a reduction is laid out over workgroups. */
export interface ReductionTile {
  /** Invocations that share a row. */
  readonly lanes: number;
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Values that an invocation takes at once, neighbours along the row. */
  readonly width: 1 | 4;
  /** Pieces into which rows are cut; over 1, a second kernel combines them. */
  readonly parts: number;
}

export interface ReductionSizes {
  /** Bounds of the number of rows and of their length. */
  readonly rows: number;
  readonly length: number;
  /** Whether a row lies in one piece, so that its lanes are neighbours in memory; otherwise neighbouring rows are. */
  readonly adjacent: boolean;
  /** Whether rows are a whole number of fours long. */
  readonly fours: boolean;
  /** Whether results are stored two at a time. */
  readonly pairs: boolean;
  readonly maxInvocations: number;
}

const powerOfTwo = (n: number) => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

/** Enough workgroups to fill a large GPU; fewer are made more by cutting rows. */
const wantedWorkgroups = 1024;

export function chooseReductionTile(sizes: ReductionSizes): ReductionTile {
  const { rows, length, adjacent, fours, pairs } = sizes;
  const invocations = Math.min(256, sizes.maxInvocations);
  const width = fours ? 4 : 1;
  const steps = Math.ceil(length / width);
  const leastRows = pairs ? 2 : 1;
  let lanes: number;
  let rowsPerGroup: number;
  if (adjacent) {
    // with many rows a lane takes several values; with few, the row is spread as far as it goes
    lanes = Math.min(invocations / leastRows, powerOfTwo(rows >= wantedWorkgroups ? steps / 4 : steps));
    rowsPerGroup = Math.max(leastRows, Math.min(powerOfTwo(rows), Math.max(64, lanes) / lanes));
  } else {
    rowsPerGroup = Math.max(leastRows, Math.min(powerOfTwo(rows), 64));
    lanes = Math.min(invocations / rowsPerGroup, powerOfTwo(steps / 4));
  }
  const groups = Math.ceil(rows / rowsPerGroup);
  const rounds = steps / lanes;
  const parts =
    groups < wantedWorkgroups / 8 && rounds >= 32 ? powerOfTwo(Math.min(wantedWorkgroups / groups, rounds / 8)) : 1;
  return { lanes, rows: rowsPerGroup, width, parts };
}
