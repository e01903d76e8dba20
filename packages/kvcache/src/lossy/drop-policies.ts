import { ArgumentError, checkOptions } from '@heddle/tensor';
import { checkArrayLike } from '../array-like.ts';

/**
 * Which tokens of a sequence are kept when it has to forget some: what is computed afterwards is another thing than with all of
 * them. A value without state.
 */
export interface DropPolicy {
  readonly name: string;
  /**
   * @param mass how much each token was attended to: `attentionMass` of `@heddle/attention`, over as many rows as the policy says
   * @returns positions to keep, ascending: `sequence.keep` takes them
   */
  choose(mass: ArrayLike<number>): number[];
}

interface Budget {
  /** Tokens that are kept in all. */
  readonly budget: number;
  /** The last tokens, which are kept in any case. */
  readonly recent: number;
  /** Tokens in front that are kept in any case (attention sinks). Default 0. */
  readonly keepFirst?: number;
}

const budgetKinds = { budget: 'whole', recent: 'whole', keepFirst: 'whole?' } as const;

/** The last tokens and those in front (StreamingLLM, https://arxiv.org/abs/2309.17453). */
export function lastTokens(options: Omit<Budget, 'budget'>): DropPolicy {
  checkOptions('lastTokens', options, { recent: 'whole', keepFirst: 'whole?' });
  const { recent, keepFirst = 0 } = options;
  return {
    name: 'last tokens',
    choose: (mass) => {
      checkArrayLike('choose', 'mass', mass);
      const { length } = mass;
      return positions(length, (i) => i < keepFirst || i >= length - recent);
    },
  };
}

/**
 * The tokens that were attended to most by all that came after them, the last ones and those in front (H2O,
 * https://arxiv.org/abs/2306.14048). Takes the mass over all rows so far.
 */
export function heavyHitters(options: Budget): DropPolicy {
  checkOptions('heavyHitters', options, budgetKinds);
  const { budget, recent, keepFirst = 0 } = options;
  return {
    name: 'heavy hitters',
    choose: (mass) => {
      checkArrayLike('choose', 'mass', mass);
      return largest(mass, { budget, recent, keepFirst });
    },
  };
}

/**
 * The tokens of a prompt that its last rows attend to, with their neighbours (SnapKV, https://arxiv.org/abs/2404.14469). Takes the
 * mass over the last `recent` rows of the prompt, once, when it was computed.
 * @param options.pool how many neighbouring tokens share the largest mass among them; odd. Default 7
 */
export function snapKv(options: Budget & { readonly pool?: number }): DropPolicy {
  checkOptions('snapKv', options, { ...budgetKinds, pool: 'size?' });
  const { budget, recent, keepFirst = 0, pool = 7 } = options;
  if (pool % 2 !== 1) throw new ArgumentError(`snapKv: pool must be odd, got ${pool}`);
  return {
    name: 'SnapKV',
    choose: (mass) => {
      checkArrayLike('choose', 'mass', mass);
      const around = Array.from({ length: mass.length }, (_, i) => {
        let most = 0;
        for (let j = Math.max(0, i - (pool >> 1)); j <= Math.min(mass.length - 1, i + (pool >> 1)); j++)
          most = Math.max(most, mass[j]!);
        return most;
      });
      return largest(around, { budget, recent, keepFirst });
    },
  };
}

/** The last and the first tokens, and of the others those of the largest mass, earlier ones first among equals. */
function largest(mass: ArrayLike<number>, { budget, recent, keepFirst }: Required<Budget>): number[] {
  const { length } = mass;
  const fixed = (i: number) => i < keepFirst || i >= length - recent;
  const others = positions(length, (i) => !fixed(i)).sort((a, b) => mass[b]! - mass[a]! || a - b);
  const chosen = new Set(others.slice(0, Math.max(0, budget - (length - others.length))));
  return positions(length, (i) => fixed(i) || chosen.has(i));
}

function positions(length: number, accepts: (i: number) => boolean): number[] {
  const all: number[] = [];
  for (let i = 0; i < length; i++) if (accepts(i)) all.push(i);
  return all;
}
