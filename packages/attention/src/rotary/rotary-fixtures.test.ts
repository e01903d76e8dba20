import { existsSync, readFileSync } from 'node:fs';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { describe, expect, test } from 'vitest';
import { rotaryFrequencies } from './rotary-frequencies.ts';
import type { RotaryScaling, RotarySpec } from './rotary-spec.ts';

/*
 * The first layer of a checkpoint, written out in float64: its hidden states before and after are in the fixture as
 * PyTorch computed them, so a wrong frequency or attention factor shows, with no executor in between.
 */
const folder = (name: string) => `../shared/fixtures/models/${name}`;

type Rows = Float64Array[];

async function matrices(path: string): Promise<(name: string) => Promise<Rows>> {
  const file = await openSafetensors(path);
  return async (name) => {
    const { shape } = file.info(name);
    const values = Float64Array.from(new Float32Array((await file.read(name)).buffer));
    const width = shape.at(-1)!;
    return Array.from({ length: values.length / width }, (_, i) => values.subarray(i * width, (i + 1) * width));
  };
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const linear = (x: Rows, weight: Rows): Rows => x.map((row) => Float64Array.from(weight, (w) => dot(row, w)));
const add = (x: Rows, y: Rows): Rows => x.map((row, i) => row.map((value, j) => value + y[i]![j]!));

function rmsNorm(x: Rows, weight: Float64Array, epsilon: number): Rows {
  return x.map((row) => {
    const scale = 1 / Math.sqrt(dot(row, row) / row.length + epsilon);
    return row.map((value, i) => value * scale * weight[i]!);
  });
}

function rotate(x: Rows, spec: RotarySpec): Rows {
  const { inverseFrequencies, attentionFactor } = rotaryFrequencies(spec);
  const half = spec.dim / 2;
  return x.map((row, position) =>
    row.map((value, j) => {
      const within = j % spec.dim;
      const angle = position * inverseFrequencies[within % half]!;
      const other = within < half ? -row[j + half]! : row[j - half]!;
      return attentionFactor * (value * Math.cos(angle) + other * Math.sin(angle));
    }),
  );
}

function attend(q: Rows, k: Rows, v: Rows, dim: number): Rows {
  const group = q[0]!.length / k[0]!.length;
  return q.map((row, position) => {
    const out = new Float64Array(row.length);
    for (let head = 0; head < row.length / dim; head++) {
      const at = Math.floor(head / group) * dim;
      const query = row.subarray(head * dim, (head + 1) * dim);
      const weights = k
        .slice(0, position + 1)
        .map((key) => Math.exp(dot(query, key.subarray(at, at + dim)) / Math.sqrt(dim)));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      weights.forEach((weight, j) => {
        for (let c = 0; c < dim; c++) out[head * dim + c]! += (weight / sum) * v[j]![at + c]!;
      });
    }
    return out;
  });
}

async function firstLayerError(name: string, scaling: RotaryScaling): Promise<number> {
  const config = JSON.parse(readFileSync(`${folder(name)}/config.json`, 'utf8'));
  const weight = await matrices(`${folder(name)}/model.safetensors`);
  const expected = await matrices(`${folder(name)}/expected.safetensors`);
  const layer = (part: string) => weight(`model.layers.0.${part}.weight`);
  const dim: number = config.head_dim;
  const spec = { theta: config.rope_parameters.rope_theta, dim, scaling };
  // The two rows of the batch stand one after the other; the first is enough.
  const length = (await expected('hidden_0')).length / 2;
  const x = (await expected('hidden_0')).slice(0, length);

  const normed = rmsNorm(x, (await layer('input_layernorm'))[0]!, config.rms_norm_eps);
  const q = rotate(linear(normed, await layer('self_attn.q_proj')), spec);
  const k = rotate(linear(normed, await layer('self_attn.k_proj')), spec);
  const attended = attend(q, k, linear(normed, await layer('self_attn.v_proj')), dim);
  const between = add(x, linear(attended, await layer('self_attn.o_proj')));
  const inner = rmsNorm(between, (await layer('post_attention_layernorm'))[0]!, config.rms_norm_eps);
  const up = linear(inner, await layer('mlp.up_proj'));
  const gated = linear(inner, await layer('mlp.gate_proj')).map((row, i) =>
    row.map((gate, j) => (gate / (1 + Math.exp(-gate))) * up[i]![j]!),
  );
  const got = add(between, linear(gated, await layer('mlp.down_proj')));

  const want = (await expected('hidden_1')).slice(0, length);
  return Math.max(...got.flatMap((row, i) => [...row.map((value, j) => Math.abs(value - want[i]![j]!))]));
}

const yarn = { kind: 'yarn', factor: 4, originalMaxPositions: 64, betaFast: 32, betaSlow: 1, truncate: true } as const;
const llama3 = {
  kind: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 64,
} as const;

describe.skipIf(!existsSync(folder('llama-yarn')))(`against checkpoints (needs ${folder('NAME')})`, () => {
  const cases: [string, RotaryScaling][] = [
    ['llama-mha', { kind: 'default' }],
    ['llama3-rope-scaled', llama3],
    ['llama-yarn', yarn],
  ];
  test.each(cases)('%s', async (name, scaling) => {
    expect(await firstLayerError(name, scaling)).toBeLessThan(2e-5);
  });

  test('the same with other frequencies is off, so the figures above mean something', async () => {
    expect(await firstLayerError('llama3-rope-scaled', { kind: 'default' })).toBeGreaterThan(1e-2);
    expect(await firstLayerError('llama-yarn', { ...yarn, attentionFactor: 1 })).toBeGreaterThan(1e-2);
    expect(await firstLayerError('llama-yarn', { ...yarn, truncate: false })).toBeGreaterThan(1e-3);
  });
});
