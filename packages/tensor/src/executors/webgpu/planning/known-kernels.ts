import { DeviceError } from '../../../checks/errors.ts';
import type { Dim } from '../../../dim.ts';
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

/** What kernels ask while they are written: the most that a size can be, or which way to compute a node. */
type Question = { readonly dim: Exclude<Dim, number> } | { readonly choice: Parameters<Choices['choose']> };

/** What is asked next, with what follows each answer; or the kernels, where nothing more is asked. */
type Known =
  | { readonly question: Question; readonly next: Map<number | string, Known> }
  | { readonly steps: readonly Step[]; readonly made: readonly ChoiceMade[] };

/**
 * The kernels of a program by what they are of. Plans for other sizes have most of them in common: one is made anew only where
 * something that it asked for has another answer.
 */
export class KnownKernels {
  readonly #known = new Map<object, Known>();
  readonly #joined = new Map<string, Step>();
  readonly #numbers = new Map<Step, number>();
  /** Texts, each once: equal layers have equal ones. */
  readonly #texts = new Map<string, string>();

  /** The kernels of `of`, which `make` writes. They are the same objects wherever they are the same. */
  get<Q extends PlanQuestions>(of: object, questions: Q, make: (questions: Q) => readonly Step[]): readonly Step[] {
    let known = this.#known.get(of);
    while (known && 'question' in known) known = known.next.get(answer(known.question, questions));
    if (known) {
      for (const made of known.made) questions.onChoice?.(made);
      return known.steps;
    }
    const { asked, ...made } = this.#make(questions, make);
    this.#keep(of, asked, made);
    return made.steps;
  }

  /** A step that several are joined to, which `make` writes. */
  joined(parts: readonly Step[], make: () => Step): Step {
    const key = parts.map((part) => getOrMake(this.#numbers, part, () => this.#numbers.size)).join();
    return getOrMake(this.#joined, key, () => this.#once(make()));
  }

  #make<Q extends PlanQuestions>(questions: Q, make: (questions: Q) => readonly Step[]) {
    const sizes = new Map<string, number>();
    const asked: (readonly [Question, number | string])[] = [];
    const made: ChoiceMade[] = [];
    let complete = false;
    const bound = (dim: Dim): number => {
      if (typeof dim === 'number') return dim;
      let size = sizes.get(dim.key);
      if (size === undefined) {
        if (complete) throw new DeviceError(`webgpu: a kernel asks for the bound of ${dim.key} after it was written`);
        size = questions.bound(dim);
        sizes.set(dim.key, size);
        asked.push([{ dim }, size]);
      }
      return size;
    };
    const choose: Choices['choose'] = (...choice) => {
      const taken = answer({ choice }, questions) as string;
      asked.push([{ choice }, taken]);
      return taken;
    };
    const onChoice = (choice: ChoiceMade) => {
      made.push(choice);
      questions.onChoice?.(choice);
    };
    const steps = make({ ...questions, bound, choices: { choose }, onChoice }).map((step) => this.#once(step));
    complete = true;
    return { asked, steps, made };
  }

  /** Kernels ask the same as long as they are answered the same, so that what is asked first is the same for all. */
  #keep(
    of: object,
    asked: readonly (readonly [Question, number | string])[],
    kernels: { readonly steps: readonly Step[]; readonly made: readonly ChoiceMade[] },
  ): void {
    let put = (known: Known): unknown => this.#known.set(of, known);
    let there = this.#known.get(of);
    for (const [question, given] of asked) {
      const { next }: Extract<Known, { question: Question }> =
        there && 'question' in there ? there : { question, next: new Map() };
      if (!there) put({ question, next });
      there = next.get(given);
      put = (known) => next.set(given, known);
    }
    put(kernels);
  }

  #once(step: Step): Step {
    return { ...step, source: getOrMake(this.#texts, step.source, () => step.source) };
  }
}

function answer(question: Question, { bound, choices }: PlanQuestions): number | string {
  if ('dim' in question) return bound(question.dim);
  return choices?.choose(...question.choice) ?? question.choice[2];
}
