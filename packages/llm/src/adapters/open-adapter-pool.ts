import type { Lora } from '@heddle/trainer/lora';
import type { ModelFiles } from '../model-files.ts';
import type { CausalLm } from '../models/causal-lm.ts';
import { openAdapter } from '../training/adapter-folder.ts';
import { type AdapterPool, createAdapterPool } from './adapter-pool.ts';

/**
 * A pool that has just these adapters, with room for the largest of them.
 * @param sources folders in PEFT's format, or their files, by the names that requests have
 * @throws as `createAdapterPool` and its `load`; then nothing is left on the device
 */
export async function openAdapterPool(
  model: CausalLm,
  sources: Readonly<Record<string, string | ModelFiles>>,
): Promise<AdapterPool> {
  const opened: [name: string, lora: Lora][] = [];
  let pool: AdapterPool | undefined;
  try {
    for (const [name, source] of Object.entries(sources)) opened.push([name, await openAdapter(model.device, source)]);
    const factors = opened.flatMap(([, lora]) => [...lora.factors.values()]);
    const targets = [...new Set(opened.flatMap(([, lora]) => [...lora.factors.keys()]))];
    pool = createAdapterPool(model, {
      maxAdapters: opened.length,
      maxRank: Math.max(...factors.map(({ a }) => a.shape[0] as number)),
      biases: factors.some(({ bias }) => bias !== undefined),
      targets,
    });
    for (const [name, lora] of opened) await pool.load(name, lora);
    return pool;
  } catch (error) {
    pool?.dispose();
    throw error;
  } finally {
    for (const [, lora] of opened) lora.dispose();
  }
}
