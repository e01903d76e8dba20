import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { LocatedFault } from './locate.ts';

/** Which faults are planted, and how. */
export interface FaultOptions {
  /** Texts of which a fault's path or description must have one; with none of them every fault is chosen. */
  readonly only: readonly string[];
  /** The first and last position in the list, counted from 1. */
  readonly from: number;
  readonly to: number;
  /** `unit`, an executor, or a project of vitest: only tests on it are run. */
  readonly executor: string | undefined;
  /** Whether those are left out that only software drivers surely show. */
  readonly hardware: boolean;
  /** How many faults are planted at the same time, each in a copy of its own. */
  readonly jobs: number;
  /** Where a line of JSON is appended for each fault that was judged. */
  readonly report: string | undefined;
  /** Whether the chosen faults are only named. */
  readonly list: boolean;
}

/** A fault with its position in the whole list, counted from 1. */
export interface ListedFault extends LocatedFault {
  readonly position: number;
}

/**
 * Reads the arguments of `npm run faults`.
 *
 * @throws TypeError if there is an argument that it does not know; RangeError if a number is none
 */
export function readOptions(args: readonly string[]): FaultOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      from: { type: 'string' },
      to: { type: 'string' },
      executor: { type: 'string' },
      hardware: { type: 'boolean' },
      jobs: { type: 'string' },
      report: { type: 'string' },
      list: { type: 'boolean' },
    },
  });
  const count = (name: 'from' | 'to' | 'jobs', otherwise: number): number => {
    const text = values[name];
    const value = text === undefined ? otherwise : Number(text);
    if (text === '' || (!Number.isInteger(value) && value !== Number.POSITIVE_INFINITY) || value < 1)
      throw new RangeError(`faults: --${name} should be a count of at least 1, got '${text}'`);
    return value;
  };
  return {
    only: values.only ?? [],
    from: count('from', 1),
    to: count('to', Number.POSITIVE_INFINITY),
    executor: values.executor,
    hardware: values.hardware ?? false,
    jobs: Math.min(count('jobs', 1), availableParallelism()),
    report: values.report,
    list: values.list ?? false,
  };
}

/** The faults that `options` choose, each with the projects in which its tests are run. */
export function choose(faults: readonly ListedFault[], options: FaultOptions): ListedFault[] {
  const { only, from, to, executor, hardware } = options;
  return faults
    .filter(({ position, softwareOnly }) => position >= from && position <= to && !(hardware && softwareOnly))
    .filter(
      ({ path, breaks }) => only.length === 0 || only.some((text) => path.includes(text) || breaks.includes(text)),
    )
    .map((fault) => ({ ...fault, projects: fault.projects.filter((project) => isOn(project, executor)) }))
    .filter(({ projects }) => projects.length > 0);
}

/** Whether a project of vitest belongs to an executor: `webgpu-node` is `webgpu`. */
const isOn = (project: string, executor: string | undefined): boolean =>
  executor === undefined || project === executor || project.startsWith(`${executor}-`);
