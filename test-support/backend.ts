import type { Device } from '@heddle/tensor';

/** A device to run conformance tests on, or why there is none here. */
export type Opened = { device: Device; missing?: never } | { device?: never; missing: string };

/** Opens the back end of a vitest project; each project aliases `#backend` to one of ./backends, which exports `open`. */
export type Open = () => Promise<Opened>;

/** Tries to open a device; a failure becomes the reason for which the tests of `name` cannot run. */
export async function attempt(name: string, open: () => Promise<Device>): Promise<Opened> {
  try {
    return { device: await open() };
  } catch (cause) {
    return { missing: `${name}: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}

declare module 'vitest' {
  /** What vitest.config.ts tells the tests of a project. */
  export interface ProvidedContext {
    /** Name of the project's back end. */
    backend: string;
    /** Whether a back end that does not open is a failure (REQUIRE_BACKENDS) rather than a skip. */
    required: boolean;
    /** Why the back end cannot run on this machine, found before any test was loaded; empty if it may. */
    unavailable: string;
    /** How many times more often than usual properties are tried (TEST_TIMES). */
    times: number;
    /** What properties are drawn from (TEST_SEED), and whether it was named or drawn itself. */
    seed: number;
    seedIsNamed: boolean;
    /** Whether a property that fails is not reduced to its smallest case: only that it fails counts. */
    firstFailureOnly: boolean;
  }
}
