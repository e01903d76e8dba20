import { expect, test } from 'vitest';
import { multiplyDims, symbolicDim } from '../../../dim.ts';
import type { ChoiceMade } from '../tuning/choices.ts';
import type { Step } from '../values.ts';
import { KnownKernels, type PlanQuestions } from './known-kernels.ts';

const [T, S] = [symbolicDim('T', 64), symbolicDim('S', 64)];
const step = (source: string): Step => ({
  label: source,
  source,
  bindings: [],
  parameters: [],
  workgroups: () => [1, 1, 1],
});
const planOf = (sizes: Readonly<Record<string, number>>): PlanQuestions => ({
  bound: (dim) => (typeof dim === 'number' ? dim : dim.terms.reduce((n, t) => n * sizes[t.symbols[0]!.name]!, 1)),
});

test('kernels are made once for plans in which what they asked for has the same answers', () => {
  const known = new KnownKernels();
  const unit = {};
  let made = 0;
  const get = (sizes: Readonly<Record<string, number>>) =>
    known.get(unit, planOf(sizes), ({ bound }) => {
      made++;
      return [step(`rows ${bound(T) > 8 ? `by tiles of ${bound(T)}` : `one by one of ${bound(S)}`}`)];
    });
  const tiles = get({ T: 16, S: 4 });
  expect(get({ T: 16, S: 32 })).toBe(tiles); // nobody has asked for S
  const single = get({ T: 4, S: 4 });
  expect(single[0]!.source).toBe('rows one by one of 4');
  expect(get({ T: 4, S: 4 })).toBe(single);
  expect(get({ T: 4, S: 8 })[0]!.source).toBe('rows one by one of 8');
  expect(made).toBe(3);
  expect(known.get({}, planOf({ T: 16, S: 4 }), () => [step('another')])[0]!.source).toBe('another');
});

test('kernels are made anew where another choice is taken now, and plans are told of the choices in them', () => {
  const known = new KnownKernels();
  const unit = {};
  let fastest = 'a';
  const noted: ChoiceMade[] = [];
  const plan = (): PlanQuestions => ({
    ...planOf({ T: 1 }),
    choices: { choose: () => fastest },
    onChoice: (choice) => noted.push(choice),
  });
  const get = () =>
    known.get(unit, plan(), ({ choices, onChoice }) => {
      const taken = choices!.choose('class', ['a', 'b'], 'a');
      onChoice!({ node: undefined as never, shapeClass: 'class', names: ['a', 'b'], preferred: 'a', taken });
      return [step(taken)];
    });
  const first = get();
  expect(get()).toBe(first);
  expect(noted.map(({ taken }) => taken)).toEqual(['a', 'a']);
  fastest = 'b';
  expect(get()[0]!.source).toBe('b');
  expect(noted.map(({ taken }) => taken)).toEqual(['a', 'a', 'b']);
});

test('equal texts are kept once, steps are joined once, and what is asked too late is refused', () => {
  const known = new KnownKernels();
  const make = () => [step(['kernel', 'of a layer'].join(' '))];
  const [a] = known.get({}, planOf({ T: 2, S: 2 }), make);
  const [b] = known.get({}, planOf({ T: 2, S: 2 }), make);
  expect(a).not.toBe(b);
  let made = 0;
  const joined = () => {
    made++;
    return step('both');
  };
  expect(known.joined([a!, b!], joined)).toBe(known.joined([a!, b!], joined));
  known.joined([b!, a!], joined);
  expect(made).toBe(2);
  let late: (() => number) | undefined;
  known.get({}, planOf({ T: 2, S: 2 }), ({ bound }) => {
    bound(T);
    late = () => bound(T) + bound(multiplyDims(S, 2));
    return [];
  });
  expect(late).toThrow('a kernel asks for the bound of 2*S after it was written');
});
