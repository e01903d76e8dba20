import type { Dim } from '../../../dim.ts';
import { DeviceError } from '../../../errors.ts';
import { getOrMake } from '../get-or-make.ts';
import type { ChoiceMade, Choices } from '../tuning/choices.ts';
import type { Step } from '../values.ts';

/** What the kernels of a plan depend on that may be otherwise in another plan of the same program. */
export interface PlanQuestions {
  /** The most that a size can be in this plan. */
  bound(dim: Dim): number;
  /** Without it kernels are what their authors prefer. */
  readonly choices?: Choices;
  /** Told of each choice between ways to compute a node. */
  readonly onChoice?: (made: ChoiceMade) => void;
}

/** Kernels, and the answers that they were made for. */
interface Known {
  readonly sizes: ReadonlyMap<string, { readonly dim: Dim; readonly most: number }>;
  readonly choices: readonly { readonly question: Parameters<Choices['choose']>; readonly taken: string }[];
  readonly made: readonly ChoiceMade[];
  readonly steps: readonly Step[];
}

/**
 * The kernels of a program by what they are of. Plans for other sizes have most of them in common: one is made anew only where
 * something that it asked for has another answer.
 */
export class KnownKernels {
  readonly #known = new Map<object, Known[]>();
  readonly #joined = new Map<string, Step>();
  readonly #numbers = new Map<Step, number>();
  /** Texts, each once: equal layers have equal ones. */
  readonly #texts = new Map<string, string>();

  /** The kernels of `of`, which `make` writes. They are the same objects wherever they are the same. */
  get<Q extends PlanQuestions>(of: object, questions: Q, make: (questions: Q) => readonly Step[]): readonly Step[] {
    const variants = getOrMake(this.#known, of, (): Known[] => []);
    let known = variants.find((variant) => isFor(variant, questions));
    if (known) for (const made of known.made) questions.onChoice?.(made);
    else {
      known = this.#make(questions, make);
      variants.push(known);
    }
    return known.steps;
  }

  /** A step that several are joined to, which `make` writes. */
  joined(parts: readonly Step[], make: () => Step): Step {
    const key = parts.map((part) => getOrMake(this.#numbers, part, () => this.#numbers.size)).join();
    return getOrMake(this.#joined, key, () => this.#once(make()));
  }

  #make<Q extends PlanQuestions>(questions: Q, make: (questions: Q) => readonly Step[]): Known {
    const sizes = new Map<string, { readonly dim: Dim; readonly most: number }>();
    const choices: { readonly question: Parameters<Choices['choose']>; readonly taken: string }[] = [];
    const made: ChoiceMade[] = [];
    let complete = false;
    const bound = (dim: Dim): number => {
      if (typeof dim === 'number') return dim;
      let size = sizes.get(dim.key);
      if (!size) {
        if (complete) throw new DeviceError(`webgpu: a kernel asks for the bound of ${dim.key} after it was written`);
        size = { dim, most: questions.bound(dim) };
        sizes.set(dim.key, size);
      }
      return size.most;
    };
    const choose: Choices['choose'] = (...question) => {
      const taken = questions.choices?.choose(...question) ?? question[2];
      choices.push({ question, taken });
      return taken;
    };
    const onChoice = (choice: ChoiceMade) => {
      made.push(choice);
      questions.onChoice?.(choice);
    };
    const steps = make({ ...questions, bound, choices: { choose }, onChoice }).map((step) => this.#once(step));
    complete = true;
    return { sizes, choices, made, steps };
  }

  #once(step: Step): Step {
    return { ...step, source: getOrMake(this.#texts, step.source, () => step.source) };
  }
}

function isFor({ sizes, choices }: Known, questions: PlanQuestions): boolean {
  for (const { dim, most } of sizes.values()) if (questions.bound(dim) !== most) return false;
  return choices.every(({ question, taken }) => (questions.choices?.choose(...question) ?? question[2]) === taken);
}
