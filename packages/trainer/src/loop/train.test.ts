import { crossEntropy, type Device, embedding, isHeddleError, type Tensor, type Variable } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { trainedParameters } from '../model/parameters.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm } from '../optimizers/clip.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { warmupCosineSchedule } from '../schedules/decay.ts';
import { createTrainStep } from '../step/train-step.ts';
import { repeat } from './batches.ts';
import type { StepReport } from './step-report.ts';
import { train } from './train.ts';

interface Inputs {
  readonly x: Tensor;
  readonly y: Tensor;
}

let device: Device;
let w: Variable;
let traces = 0;

beforeEach(async () => {
  device = await openReference();
  w = device.variable([[0], [0]]);
  traces = 0;
});
afterEach(() => device.dispose());

/** y = x w, whose answer is w = [2, -3]. */
const model = () => ({
  parameters: { w },
  forward: ({ x }: { readonly x: Tensor }) => {
    traces++;
    return x.matmul(w);
  },
});
const squaredError = (output: Tensor, { y }: Inputs) => {
  const difference = output.sub(y);
  return difference.mul(difference).mean();
};
const batchOf = (...rows: readonly (readonly [number, number])[]) => ({
  x: { data: Float32Array.from(rows.flat()), shape: [rows.length, 2] },
  y: { data: Float32Array.from(rows, ([a, b]) => 2 * a - 3 * b), shape: [rows.length, 1] },
});
const batch = batchOf([1, 0], [0, 1], [1, 1]);
const optimizer = chain(clipByGlobalNorm(1), adamw({ learningRate: 0.1 }));
const options = () => ({ model: model(), loss: squaredError, optimizer, data: repeat([batch]) });

async function collect(reports: AsyncIterable<StepReport>, into: StepReport[] = []): Promise<StepReport[]> {
  for await (const report of reports) into.push(report);
  return into;
}
const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error) => error,
  );
const onlyTheModelIsLeft = () => expect(device.memory().owners).toEqual([{ owner: 'variables', bytes: 16 }]);

describe('train', () => {
  test('learns, and reports each step in order', async () => {
    const reports = await collect(train({ ...options(), steps: 200, tokens: () => 3 }));
    expect(reports.map(({ step }) => step)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(reports[0]!.loss).toBeCloseTo((4 + 9 + 1) / 3, 6); // with w = 0: the mean of the squared targets
    expect(reports.at(-1)!.loss).toBeLessThan(1e-3);
    for (const report of reports) {
      expect(report).toMatchObject({ tokens: 3, applied: true, learningRate: 0.1 });
      expect(report.seconds).toBeGreaterThan(0);
      expect(report.tokensPerSecond).toBeCloseTo(3 / report.seconds, 6);
      expect(report.memory.live).toBeGreaterThan(0);
      expect(report.memory.peak).toBeGreaterThanOrEqual(report.memory.live);
    }
    const [a, b] = await w.data();
    expect(a).toBeCloseTo(2, 1);
    expect(b).toBeCloseTo(-3, 1);
    onlyTheModelIsLeft();
  });

  test('a changing rate and step count run the same plan', async () => {
    const schedule = warmupCosineSchedule({ peak: 0.1, warmupSteps: 5, totalSteps: 20 });
    const reports = await collect(train({ ...options(), optimizer: adamw({ learningRate: schedule }), steps: 20 }));
    expect(reports.map(({ learningRate }) => learningRate)).toEqual(Array.from({ length: 20 }, (_, i) => schedule(i)));
    expect(traces).toBe(1);
  });

  test('each shape of a batch has a plan of its own, traced once', async () => {
    const swapped = { y: batch.y, x: batch.x };
    const data = [batch, batchOf([1, 2]), swapped, batchOf([3, 1]), batch];
    expect(await collect(train({ ...options(), data }))).toHaveLength(5);
    expect(traces).toBe(2);
  });

  test('ends with the data where no steps are named', async () => {
    expect(await collect(train({ ...options(), data: [batch, batch] }))).toHaveLength(2);
  });

  test('takes asynchronous data, and tensors in batches', async () => {
    const [x, y] = [device.tensor([[1, 2]]), device.tensor([[-4]])];
    async function* data() {
      yield { x, y };
      yield { x, y: y.add(0) }; // computed when the step needs it
    }
    const [first] = await collect(train({ ...options(), data: data() }));
    expect(first!.loss).toBeCloseTo(16, 6);
  });

  test('counts the values of `tokens` as tokens', async () => {
    const table = device.variable([[0.1], [0.2], [0.3]]);
    const [report] = await collect(
      train({
        model: {
          parameters: { table },
          forward: ({ tokens }: { readonly tokens: Tensor }) => tokens.cast('f32').matmul(table),
        },
        loss: (output) => output.sum(),
        optimizer,
        data: [{ tokens: { data: Int32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] } }],
      }),
    );
    expect(report!.tokens).toBe(6);
    const [other] = await collect(train({ ...options(), data: [batch] }));
    expect(other).toMatchObject({ tokens: undefined, tokensPerSecond: undefined });
  });

  test('with stepsAhead 0 the body of the loop sees the weights of its report, with 1 those of the next', async () => {
    const rate = { optimizer: adamw({ learningRate: 1, weightDecay: 0 }), steps: 3 };
    const seen: number[][] = [];
    for (const stepsAhead of [0, 1] as const) {
      w.dispose();
      w = device.variable([[0], [0]]);
      const steps: number[] = [];
      for await (const { step } of train({ ...options(), ...rate, stepsAhead, model: model() })) {
        const first = (await w.data())[0]!;
        steps.push(step);
        seen.push([stepsAhead, Number(first.toFixed(6))]);
      }
      expect(steps).toEqual([0, 1, 2]);
    }
    const values = (ahead: number) => seen.filter(([which]) => which === ahead).map(([, value]) => value);
    expect(values(0)[0]).toBeCloseTo(1, 4); // the first step of AdamW has the length of its rate
    expect(values(1)).toEqual([values(0)[1], values(0)[2], values(0)[2]]);
  });

  test('submits one step ahead of the reports, and reads no more data than it needs', async () => {
    let taken = 0;
    function* data() {
      for (;;) {
        taken++;
        yield batch;
      }
    }
    for (const [stepsAhead, expected] of [
      [1, 2],
      [0, 1],
    ] as const) {
      taken = 0;
      for await (const _ of train({ ...options(), data: data(), stepsAhead })) {
        expect(taken).toBe(expected);
        break;
      }
    }
    taken = 0;
    await collect(train({ ...options(), data: data(), steps: 4 }));
    expect(taken).toBe(4);
  });

  test('runs nothing before its reports are read', async () => {
    const reports = train({ ...options(), steps: 3 });
    expect(traces).toBe(0);
    onlyTheModelIsLeft();
    await reports.return();
    expect(traces).toBe(0);
  });

  test('tied weights are one parameter', async () => {
    const one = {
      parameters: new Map([
        ['a', w],
        ['b', w],
      ]),
      forward: model().forward,
    };
    const [tied] = await collect(train({ ...options(), model: one, data: [batch] }));
    w.dispose();
    w = device.variable([[0], [0]]);
    const [plain] = await collect(train({ ...options(), model: model(), data: [batch] }));
    expect(tied!.gradientNorm).toBe(plain!.gradientNorm);
  });

  test('takes parameters as a tree, by their paths', () => {
    const { forward } = model();
    const tree = { layer: { query: { weight: w }, spare: 3 as never } };
    expect(() => train({ ...options(), model: { parameters: tree, forward } })).toThrow(
      /parameter 'layer.spare' must be a Variable, got number/,
    );
    const named = trainedParameters({ layer: { query: { weight: w } } });
    expect(named.map(({ name }) => name)).toEqual(['layer.query.weight']);
  });

  test('takes trees with lists and maps in them, by their paths', async () => {
    const bias = device.variable([0]);
    const layers = [{ weight: w, parts: new Map([['bias', bias]]) }];
    expect(trainedParameters({ layers }).map(({ name }) => name)).toEqual(['layers.0.weight', 'layers.0.parts.bias']);
    expect(trainedParameters(layers).map(({ name }) => name)).toEqual(['[0].weight', '[0].parts.bias']);
    const nested = { parameters: { layers }, forward: ({ x }: { readonly x: Tensor }) => x.matmul(w).add(bias) };
    const reports = await collect(train({ ...options(), model: nested, steps: 50 }));
    expect(reports.at(-1)!.loss).toBeLessThan(reports[0]!.loss / 2);
    expect(() => trainedParameters({ layers: [w, [3 as never]] })).toThrow(
      /parameter 'layers.1.0' must be a Variable, got number/,
    );
    expect(() => trainedParameters(3 as never)).toThrow(/no parameters/);
  });

  test('takes the mean of several batches in a step, and what is left in the last', async () => {
    const rows = [batchOf([1, 0]), batchOf([0, 1]), batchOf([1, 1]), batchOf([2, 1])];
    const reports = await collect(train({ ...options(), data: rows, accumulate: 3, tokens: () => 1 }));
    expect(reports.map(({ tokens, count }) => [tokens, count])).toEqual([
      [3, 3],
      [1, 1],
    ]);
    expect(reports[0]!.loss).toBeCloseTo((4 + 9 + 1) / 3, 6);
    for (const accumulate of [0, 1.5]) expect(() => train({ ...options(), accumulate })).toThrow(/accumulate must be/);
  });

  test('takes parameters as a list, by the names of the variables', async () => {
    const names: string[] = [];
    const decays = ({ name }: { readonly name: string }) => names.push(name) > 0;
    const listed = { parameters: [w, device.variable([1], { name: 'spare' })], forward: model().forward };
    await collect(
      train({ ...options(), model: listed, optimizer: adamw({ learningRate: 0.1, decays }), data: [batch] }),
    );
    expect(names).toEqual(['variable', 'spare']);
    expect(() => train({ ...options(), model: { ...listed, parameters: [w, 3 as never] } })).toThrow(
      /parameter '\[1\]' must be a Variable, got number/,
    );
  });
});

describe('train ends early', () => {
  test('by break: what it allocated is freed, the data is closed, the weights stay', async () => {
    let closed = false;
    function* data() {
      try {
        for (;;) yield batch;
      } finally {
        closed = true;
      }
    }
    for await (const { step } of train({ ...options(), data: data(), steps: 100 })) if (step === 2) break;
    expect(closed).toBe(true);
    onlyTheModelIsLeft();
    expect([...(await w.data())]).not.toEqual([0, 0]);
  });

  test('by its signal, also while it waits for data', async () => {
    const controller = new AbortController();
    const seen: StepReport[] = [];
    const stopped = (async () => {
      for await (const report of train({ ...options(), signal: controller.signal })) {
        seen.push(report);
        if (seen.length === 3) controller.abort();
      }
    })();
    expect(await failure(stopped)).toMatchObject({ name: 'AbortError' });
    expect(seen).toHaveLength(3);
    onlyTheModelIsLeft();

    const waiting = new AbortController();
    async function* never() {
      yield batch;
      await new Promise(() => {});
    }
    const blocked = collect(train({ ...options(), data: never(), signal: waiting.signal }));
    setTimeout(() => waiting.abort(new Error('enough')), 20);
    expect(await failure(blocked)).toMatchObject({ message: 'enough' });
    onlyTheModelIsLeft();

    expect(await failure(collect(train({ ...options(), signal: AbortSignal.abort() })))).toMatchObject({
      name: 'AbortError',
    });
  });

  test('by an error of the data or the model', async () => {
    function* data() {
      yield batch;
      throw new Error('disk gone');
    }
    const seen: StepReport[] = [];
    expect(await failure(collect(train({ ...options(), data: data() }), seen))).toMatchObject({ message: 'disk gone' });
    onlyTheModelIsLeft();
    const unopened: Iterable<typeof batch> = {
      [Symbol.iterator]: () => {
        throw new Error('no such file');
      },
    };
    expect(await failure(collect(train({ ...options(), data: unopened })))).toMatchObject({ message: 'no such file' });
    onlyTheModelIsLeft();
    const broken = {
      parameters: { w },
      forward: () => {
        throw new Error('no such layer');
      },
    };
    expect(await failure(collect(train({ ...options(), model: broken, loss: () => w.sum() })))).toMatchObject({
      message: 'no such layer',
    });
    onlyTheModelIsLeft();
  });
});

describe('train refuses', () => {
  const code = async (promise: Promise<unknown>) => {
    const error = await failure(promise);
    expect(isHeddleError(error), String(error)).toBe(true);
    return error as Error & { code: string; step?: number };
  };

  test('empty data', async () => {
    expect(await code(collect(train({ ...options(), data: [] })))).toMatchObject({ code: 'ERR_EMPTY_DATA' });
    expect(await code(collect(train({ ...options(), data: repeat([]), steps: 3 })))).toMatchObject({
      code: 'ERR_EMPTY_DATA',
    });
    onlyTheModelIsLeft();
  });

  test('data that ends too early, after the reports of what there was', async () => {
    const seen: StepReport[] = [];
    const error = await code(collect(train({ ...options(), data: [batch, batch], steps: 3 }), seen));
    expect(error).toMatchObject({ code: 'ERR_DATA_ENDED', step: 2 });
    expect(error.message).toContain('after 2 of 3 steps');
    expect(seen).toHaveLength(2);
  });

  const inputs = { x: { data: new Float32Array(2), shape: [1, 2] }, y: { data: new Float32Array(1), shape: [1, 1] } };
  test.each<[string, (frozen: Variable, whole: Variable, elsewhere: Variable) => object, RegExp]>([
    ['frozen', (frozen) => ({ w, bias: frozen }), /'bias' is frozen/],
    ['integer', (_, whole) => ({ w, ids: whole }), /'ids' must be f32 or f16, got i32/],
    ['a tensor', () => ({ w: device.ones([2]) }), /'w' must be a Variable, got a Tensor/],
    ['missing', () => ({ w: undefined }), /'w' must be a Variable, got undefined/],
    ["another device's", (_, __, elsewhere) => ({ w, far: elsewhere }), /'far' must be on the device of the others/],
    ['none', () => ({}), /no parameters/],
    ['none', () => new Map(), /no parameters/],
  ])('parameters: %s', async (_, parameters, message) => {
    const other = await openReference();
    const frozen = device.variable([1], { frozen: true });
    const given = parameters(frozen, device.variable([1], { dtype: 'i32' }), other.variable([1])) as { w: Variable };
    const call = () => train({ ...options(), model: { parameters: given, forward: model().forward }, data: [inputs] });
    expect(call).toThrow(message);
    expect(() => createTrainStep({ ...options(), model: { parameters: given, forward: model().forward } })).toThrow(
      message,
    );
    await other.dispose();
  });

  test('parameters that were disposed of', () => {
    w.dispose();
    expect(() => train({ ...options() })).toThrow(/parameter 'w': the tensor was disposed of/);
  });

  test('a loss that is no float scalar', async () => {
    const losses: [(output: Tensor) => unknown, RegExp, string][] = [
      [(output) => output, /the loss must be a scalar, got \[3, 1\]; sum or average it/, 'ERR_SHAPE'],
      [(output) => output.sum().cast('i32'), /the loss must be f32 or f16, got i32/, 'ERR_DTYPE'],
      [() => 3, /the loss must be a scalar tensor, got number/, 'ERR_SHAPE'],
    ];
    for (const [loss, message, expected] of losses) {
      const error = await code(collect(train({ ...options(), loss: loss as never })));
      expect(error.message).toMatch(message);
      expect(error.code).toBe(expected);
    }
    onlyTheModelIsLeft();
  });

  test('what is no data, what is no batch, and shapes that do not fit the model', async () => {
    for (const data of [undefined, null, 5, {}] as unknown as (typeof batch)[][])
      expect(() => train({ ...options(), data })).toThrow(/train: data must be an iterable of batches/);
    for (const nothing of [undefined, null, 5] as unknown as (typeof batch)[])
      expect((await code(collect(train({ ...options(), data: [nothing] })))).message).toMatch(
        /a batch must be an object/,
      );
    const error = await code(collect(train({ ...options(), data: [{ x: 3, y: 4 }] as unknown as [typeof batch] })));
    expect(error.message).toContain("'x' of the batch must be a tensor, a typed array or { data, shape }, got number");
    const narrow = { ...batch, x: { data: new Float32Array(9), shape: [3, 3] } };
    expect((await code(collect(train({ ...options(), data: [narrow] })))).message).toContain('matmul');
    const short = { ...batch, x: { data: new Float32Array(5), shape: [3, 2] } };
    expect(await code(collect(train({ ...options(), data: [short] })))).toMatchObject({ code: 'ERR_SHAPE' });
  });

  test('numbers of steps that are none', () => {
    for (const steps of [0, -1, 1.5, Number.NaN])
      expect(() => train({ ...options(), steps })).toThrow(/steps must be a whole number/);
    expect(() => train({ ...options(), stepsAhead: 2 as never })).toThrow(/stepsAhead must be 0 or 1/);
  });

  test('an optimizer that loses a parameter or a part of its state', async () => {
    const forgetful = (change: (next: { parameters: readonly Tensor[]; state: unknown }) => unknown): Optimizer => {
      const inner = adamw({ learningRate: 1 }) as Optimizer;
      return { ...inner, update: (...args) => change(inner.update(...args)) as never };
    };
    const noParameter = forgetful((next) => ({ ...next, parameters: [] }));
    expect(await code(collect(train({ ...options(), optimizer: noParameter })))).toMatchObject({
      code: 'ERR_OPTIMIZER',
    });
    const noState = forgetful((next) => ({ ...next, state: { firstMoments: [] } }));
    const error = await code(collect(train({ ...options(), optimizer: noState })));
    expect(error.message).toContain('no tensor at firstMoments[0]');
  });

  test('an optimizer whose state does not fit, keeping none of it', async () => {
    const small = await openReference({ memoryBudget: 40 });
    const parameters = { w: small.variable([1, 2]) }; // 16 bytes, and 16 for each moment
    expect(() => createTrainStep({ ...options(), model: { parameters, forward: model().forward } })).toThrow(
      /the budget is 40/,
    );
    expect(small.memory().owners).toEqual([{ owner: 'variables', bytes: 16 }]);
    await small.dispose();
  });
});

describe('a loss that is not finite', () => {
  const poisoned = { ...batch, y: { data: Float32Array.of(1, Number.NaN, 1), shape: [3, 1] } };
  const infinite = { ...batch, y: { data: Float32Array.of(1, Number.POSITIVE_INFINITY, 1), shape: [3, 1] } };

  test.each([
    ['NaN', poisoned, 'NaN'],
    ['infinite', infinite, 'Infinity'],
  ])('%s: stops with the step, which changed nothing', async (_, bad, shown) => {
    const seen: StepReport[] = [];
    const error = await failure(collect(train({ ...options(), data: [batch, batch, bad], stepsAhead: 0 }), seen));
    expect(error).toMatchObject({ code: 'ERR_NON_FINITE', step: 2 });
    expect((error as Error).message).toContain(`the loss of step 2 is ${shown}`);
    expect(seen.map(({ step }) => step)).toEqual([0, 1]);
    const after = [...(await w.data())];
    onlyTheModelIsLeft();
    w.dispose();
    w = device.variable([[0], [0]]);
    await collect(train({ ...options(), model: model(), data: [batch, batch] }));
    expect(after).toEqual([...(await w.data())]);
  });

  test('a gradient that is not finite under a finite loss is named as such', async () => {
    const root = { parameters: { w }, forward: () => w.mul(w).sum().sqrt() }; // at 0: 0 / 0
    const error = await failure(collect(train({ ...options(), model: root, loss: (output: Tensor) => output })));
    expect((error as Error).message).toContain('the gradient norm of step 0 is NaN');
  });

  test('of a batch that is masked entirely says that there is nothing to learn from', async () => {
    const table = device.variable([
      [0.1, 0.2],
      [0.3, 0.4],
    ]);
    const shape = [2, 1];
    const tokens = { data: Int32Array.of(0, 1), shape };
    const masked = { tokens, targets: { data: Int32Array.of(-100, -100), shape } };
    const languageModel = {
      parameters: { table },
      forward: ({ tokens: ids }: { readonly tokens: Tensor }) => embedding(table, ids),
    };
    type Targets = { readonly targets: Tensor };
    const losses = [
      (logits: Tensor, { targets }: Targets) => crossEntropy(logits, targets),
      (logits: Tensor, { targets }: Targets) => summedCrossEntropy(logits, targets),
    ];
    for (const loss of losses) {
      const setting = { model: languageModel, loss, optimizer, data: [masked] };
      const error = await failure(collect(train(setting)));
      expect(error).toMatchObject({ code: 'ERR_NOTHING_TO_LEARN', step: 0 });
      expect((error as Error).message).toContain("every value of its 'targets' is masked");
      const [report] = await collect(train({ ...setting, nonFinite: 'skip' }));
      expect(report!.applied).toBe(false);
    }
    expect([...(await table.data())].every(Number.isFinite)).toBe(true);
  });

  test('can be skipped: weights and state of that step stay', async () => {
    const reports = await collect(
      train({
        ...options(),
        optimizer: adamw({ learningRate: () => 0.1, betas: [0.5, 0] }),
        data: [batch, poisoned, batch],
        nonFinite: 'skip',
      }),
    );
    expect(reports.map(({ applied }) => applied)).toEqual([true, false, true]);
    expect(reports[1]!.loss).toBeNaN();
    expect(reports[2]!.loss).toBeLessThan(reports[0]!.loss);
    expect([...(await w.data())].every(Number.isFinite)).toBe(true);
  });
});

describe('createTrainStep', () => {
  test('steps one by one, and ahead of their results in order', async () => {
    const step = createTrainStep(options());
    const first = await step(batch);
    expect(first).toMatchObject({ step: 0, applied: true });
    const submitted = await Promise.all([step.submit(batch), step.submit(batchOf([1, 2])), step.submit(batch)]);
    expect(submitted.map(({ step: n }) => n)).toEqual([1, 2, 3]);
    const results = await Promise.all(submitted.map(({ result }) => result));
    expect(results.map(({ step: n }) => n)).toEqual([1, 2, 3]);
    expect(results[2]!.loss).toBeLessThan(first.loss);
    expect([step.steps, step.plans]).toEqual([4, 2]);
    step.dispose();
    step.dispose();
    onlyTheModelIsLeft();
    expect(await failure(step(batch))).toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('a step that failed does not count', async () => {
    const step = createTrainStep(options());
    expect(await failure(step({ ...batch, x: { data: new Float32Array(5), shape: [3, 2] } }))).toMatchObject({
      code: 'ERR_SHAPE',
    });
    expect(await step(batch)).toMatchObject({ step: 0 });
    step.dispose();
  });

  test('1,000 steps hold what one step holds', async () => {
    const step = createTrainStep(options());
    await step(batch);
    const { live } = device.memory();
    for (let i = 0; i < 1000; i++) await step(batch);
    expect(device.memory().live).toBeLessThanOrEqual(live);
    expect(device.memory().peak).toBeLessThanOrEqual(live * 2);
    step.dispose();
    onlyTheModelIsLeft();
  });
});
