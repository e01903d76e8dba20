/** A mistake that could be made in the sources, and the tests that must see it. */
export interface Fault {
  /** What it breaks, in a few words. */
  readonly breaks: string;
  /** The end of the file's path, its base name as a rule: files move. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly find: string;
  readonly put: string;
  /** Ends of the paths of test files. */
  readonly tests: readonly string[];
  /** Why a GPU of hardware may not show it, where only software drivers surely do: `--hardware` leaves it out. */
  readonly softwareOnly?: string;
  /** The vitest projects in which these tests must fail, each of them. */
  readonly projects: readonly string[];
}

/** Faults of one area: what they share is said once. */
export function faultsOf(
  projects: readonly string[],
  entries: readonly (Omit<Fault, 'projects'> & { readonly projects?: readonly string[] })[],
): readonly Fault[] {
  return entries.map((entry) => ({ projects, ...entry }));
}
