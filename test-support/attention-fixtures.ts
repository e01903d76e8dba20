import type { AttentionSpec } from '@heddle/attention';
import type { Device, Tensor } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import type { TestContext } from 'vitest';
import { needShared, needSharedJson } from './shared.ts';

export interface AttentionFixture {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly outputGradient: Tensor;
  readonly spec: AttentionSpec;
  /** An array of the file: `out`, `lse`, gradients, with heads before rows. */
  expected(key: string): Promise<Float32Array>;
}

/** A case as PyTorch computed it, with the axes of heads and rows in our order. */
export async function openAttentionFixture(
  context: Pick<TestContext, 'skip'>,
  device: Device,
  name: string,
): Promise<AttentionFixture> {
  const cases = (await needSharedJson(context, 'fixtures/attention/cases.json')) as {
    name: string;
    causal: boolean;
    window: number | null;
    softcap: number | null;
    alibi: boolean;
    key_mask: boolean;
    sinks: boolean;
  }[];
  const options = cases.find((entry) => entry.name === name)!;
  const file = await openSafetensors(await needShared(context, `fixtures/attention/${name}.safetensors`));
  const read = async (key: string) => new Float32Array((await file.read(key)).buffer);
  const heads = async (key: string) =>
    device
      .tensor(await read(key), { shape: file.info(key).shape })
      .permute([0, 2, 1, 3])
      .realize();
  const mask = async () => {
    const ints = new Int32Array((await file.read('key_mask')).buffer);
    const [B, S] = file.info('key_mask').shape as [number, number];
    return device.tensor(Uint8Array.from(ints), { shape: [B, 1, 1, S], dtype: 'bool' });
  };
  const spec: AttentionSpec = {
    causal: options.causal,
    ...(options.window ? { window: options.window } : {}),
    ...(options.softcap ? { softcap: options.softcap } : {}),
    ...(options.alibi ? { alibi: true } : {}),
    ...(options.key_mask ? { mask: await mask() } : {}),
    ...(options.sinks ? { sinks: device.tensor(await read('sinks')) } : {}),
  };
  const [q, k, v, outputGradient] = await Promise.all(['q', 'k', 'v', 'd_out'].map(heads));
  return { q: q!, k: k!, v: v!, outputGradient: outputGradient!, spec, expected: read };
}
