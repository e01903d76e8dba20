import { concat, type Device, gradients, linear, mapTree, rmsNorm, silu, type Tensor } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared } from '../../../../test-support/shared.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { flash } from '../kernels/flash.ts';
import { rotaryTable } from '../rotary/rotary-table.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { type AttentionModuleOptions, attentionModule, createAttentionModule } from './attention-module.ts';
import type { AttentionParameters } from './attention-parameters.ts';

const values = async (x: Tensor) => Array.from(await x.data());

/** First layers of checkpoints whose hidden states PyTorch computed. */
const checkpoints: Readonly<Record<string, Omit<AttentionModuleOptions, 'width' | 'heads' | 'rotary'>>> = {
  qwen3: { attentionType: 'gqa-2', headDim: 32, qkNorm: { epsilon: 1e-6 } },
  qwen2: { attentionType: 'gqa-2', bias: { input: true } },
  'llama-mha': {},
  'llama-mqa': { attentionType: 'mqa' },
  'mistral-sliding': { attentionType: 'gqa-2', spec: { causal: true, window: 16 } },
};

async function openCheckpoint(context: Pick<TestContext, 'skip'>, device: Device, name: string) {
  const open = async (file: string) => openSafetensors(await needShared(context, `fixtures/models/${name}/${file}`));
  const [model, expected] = [await open('model.safetensors'), await open('expected.safetensors')];
  const tensor = async (file: typeof model, key: string) =>
    device.tensor(new Float32Array((await file.read(key)).buffer), { shape: file.info(key).shape });
  return {
    weight: (part: string) => tensor(model, `model.layers.0.${part}`),
    has: (part: string) => model.names().includes(`model.layers.0.${part}`),
    hidden: (layer: number) => tensor(expected, `hidden_${layer}`),
  };
}

conformance('attention module', (device: () => Device) => {
  for (const [name, config] of Object.entries(checkpoints))
    test(`the first layer of ${name}`, async (context) => {
      if (name !== 'qwen3' && compilesSlowly(device())) context.skip(slowHere);
      const { weight, has, hidden } = await openCheckpoint(context, device(), name);
      const projection = async (part: string) => ({
        weight: await weight(`self_attn.${part}.weight`),
        ...(has(`self_attn.${part}.bias`) ? { bias: await weight(`self_attn.${part}.bias`) } : {}),
      });
      const parameters: AttentionParameters<Tensor> = {
        query: await projection('q_proj'),
        key: await projection('k_proj'),
        value: await projection('v_proj'),
        output: await projection('o_proj'),
        ...(config.qkNorm ? { queryNorm: await projection('q_norm'), keyNorm: await projection('k_norm') } : {}),
      };
      const dim = config.headDim ?? 16;
      const table = rotaryTable(device(), { theta: 10000, dim, scaling: { kind: 'default' } }, 32);
      const module = attentionModule(parameters, { ...config, width: 64, heads: 4, rotary: { table } });
      const x = await hidden(0);
      const norm = async (y: Tensor, part: string) => rmsNorm(y, await weight(`${part}.weight`), 1e-6);
      const h = x.add(module.forward({ x: await norm(x, 'input_layernorm') }));
      const fed = await norm(h, 'post_attention_layernorm');
      const gate = silu(linear(fed, await weight('mlp.gate_proj.weight')));
      const inner = gate.mul(linear(fed, await weight('mlp.up_proj.weight')));
      const out = h.add(linear(inner, await weight('mlp.down_proj.weight')));
      expect(relativeError(await values(out), await values(await hidden(1)))).toBeLessThan(5e-6);
    });

  const small = { width: 24, heads: 4, attentionType: 'gqa', headDim: 16, seed: 5 } as const;
  const make = (seed: number, shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b);
    return device().tensor(Float32Array.from(normal(seed, size)), { shape });
  };

  test('gate, biases and gradients with respect to every parameter', async (context) => {
    leaveToNode(context);
    if (compilesSlowly(device())) context.skip(slowHere);
    using module = await createAttentionModule(device(), { ...small, bias: true, qkNorm: true, outputGate: true });
    const x = make(1, [2, 5, 24]);
    const { gate, output } = module.parameters;
    let mixed: Tensor | undefined;
    const attend = (q: Tensor, k: Tensor, v: Tensor) => {
      expect([q, k, v].map(({ shape }) => shape)).toEqual([
        [2, 5, 4, 16],
        [2, 5, 1, 16],
        [2, 5, 1, 16],
      ]);
      mixed = q.mul(k).add(v);
      return mixed;
    };
    const out = module.forward({ x }, { attend });
    const gated = mixed!.reshape([2, 5, 64]).mul(linear(x, gate!.weight).sigmoid());
    const expected = linear(gated, output.weight, output.bias);
    expect(relativeError(await values(out), await values(expected))).toBeLessThan(1e-6);
    const leaves: Tensor[] = [];
    mapTree(module.parameters, (leaf) => leaves.push(leaf as Tensor));
    expect(leaves.length).toBe(11);
    for (const gradient of gradients(out.mul(make(2, [2, 5, 24])).sum(), leaves))
      expect((await values(gradient)).some((g) => g !== 0)).toBe(true);
  });

  test('the same seed gives the same parameters; biases 0, norms 1', async () => {
    const options = { ...small, bias: true, qkNorm: true, name: 'layer' };
    using a = await createAttentionModule(device(), options);
    using b = await createAttentionModule(device(), options);
    expect(a.parameters.query.weight.name).toBe('layer.query.weight');
    expect(await values(a.parameters.query.weight)).toEqual(await values(b.parameters.query.weight));
    expect(await values(a.parameters.key.weight)).not.toEqual(await values(a.parameters.value.weight));
    expect((await values(a.parameters.output.bias!)).every((x) => x === 0)).toBe(true);
    expect((await values(a.parameters.queryNorm!.weight)).every((x) => x === 1)).toBe(true);
    const spread = Math.sqrt((await a.parameters.query.weight.pow(2).mean().item()) * 24);
    expect(Math.abs(spread - 1)).toBeLessThan(0.1);
  });

  test('rows of a kernel, positions and cross-attention', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    using module = await createAttentionModule(device(), small);
    const table = rotaryTable(device(), { theta: 10000, dim: 8, scaling: { kind: 'default' } }, 16);
    const turning = attentionModule(module.parameters, { ...small, rotary: { table, interleaved: true } });
    const x = make(3, [1, 6, 24]);
    const dense = turning.forward({ x });
    // the rows of the sequence in another order, through a kernel that takes packed rows
    const order = [4, 0, 5, 2, 1, 3];
    const positions = device().tensor(Int32Array.from(order));
    const segments = device().zeros([6], 'i32');
    const rows = x.reshape([6, 24]).slice(0, 0, 6);
    const shuffled = device().tensor(
      Float32Array.from(order.flatMap((row, _) => Array.from({ length: 24 }, (_, i) => row * 24 + i))),
    );
    const flat = await values(rows);
    const mixedRows = device().tensor(
      Float32Array.from(await values(shuffled), (i) => flat[i]!),
      { shape: [6, 24] },
    );
    const packed = turning.forward(
      { x: mixedRows, positions },
      { attend: (q, k, v) => flash().attend(q, k, v, undefined, { segments, positions }) },
    );
    const expected = await values(dense);
    const got = await values(packed);
    order.forEach((row, i) => {
      expect(relativeError(got.slice(i * 24, (i + 1) * 24), expected.slice(row * 24, (row + 1) * 24))).toBeLessThan(
        5e-6,
      );
    });
    // a context of one key: every query gets its value
    const single = make(4, [1, 1, 24]);
    const crossed = module.forward({ x }, { context: single, spec: { causal: false } });
    const value = linear(single, module.parameters.value.weight).reshape([1, 1, 1, 16]).expand([1, 6, 4, 16]);
    const wanted = linear(value.reshape([1, 6, 64]), module.parameters.output.weight);
    expect(relativeError(await values(crossed), await values(wanted))).toBeLessThan(2e-6);
  });

  test('is causal whatever else its spec, or that of a call, says; a window without it sees what comes', async (context) => {
    leaveToNode(context);
    if (compilesSlowly(device())) context.skip(slowHere);
    const x = make(5, [1, 5, 24]);
    const later = concat([x.slice(1, 0, 4), make(6, [1, 1, 24])], 1);
    const first = async (out: Tensor) => (await values(out)).slice(0, 4 * 24);
    const unset = { softcap: 30, causal: undefined } as never;
    for (const [own, call] of [
      [{ softcap: 30 }, {}],
      [{}, { window: 4 }],
      [unset, {}],
      [{ window: 4 }, unset],
    ] as const) {
      // biome-ignore format: a list
      using module = await createAttentionModule(device(), { ...small, spec: own });
      const of = (input: Tensor) => first(module.forward({ x: input }, { spec: call }));
      expect(relativeError(await of(later), await of(x))).toBeLessThan(1e-6);
    }
    using open = await createAttentionModule(device(), { ...small, spec: { window: 3, causal: false } });
    const [seen, other] = [await first(open.forward({ x: later })), await first(open.forward({ x }))];
    expect(relativeError(seen, other)).toBeGreaterThan(1e-3);
  });

  test('refuses what does not fit', async () => {
    using module = await createAttentionModule(device(), small);
    const { query, key, value, output } = module.parameters;
    expect(() => attentionModule({ query, key, value } as never, small)).toThrow(/'output.weight' is missing/);
    expect(() => attentionModule({ query, key, value, output }, { ...small, outputGate: true })).toThrow(
      /'gate.weight' is missing/,
    );
    expect(() => attentionModule({ query, key: query, value, output }, small)).toThrow(
      /'key.weight' must be \[16,24\], got \[64,24\]/,
    );
    expect(() => attentionModule({ ...module.parameters, gate: query }, small)).toThrow(/'gate.weight' is not of this/);
    expect(() => module.forward(undefined as never)).toThrow(/forward: takes options { x, positions }, got undefined/);
    expect(() => module.forward(query.weight as never)).toThrow(/forward: takes options { x, positions }, got/);
    await expect(createAttentionModule(device(), { width: 8, heads: 2 } as never)).rejects.toThrow(
      /createAttentionModule: seed must be a whole number from 0, got undefined/,
    );
    await expect(createAttentionModule(device(), { width: 10, heads: 4, seed: 1 })).rejects.toThrow(
      /head size must be a positive integer, got 2.5/,
    );
  });
});
