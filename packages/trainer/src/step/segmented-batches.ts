import type { Device, KernelTime } from '@heddle/tensor';
import type { Batch, BatchSpec } from '../model/batch.ts';
import { disposeGradients, type HeldGradients, holdGradients } from './batch-gradients.ts';
import type { StepParts } from './record-step.ts';
import { SegmentedBatch } from './segmented-batch.ts';

/** Batches whose gradients are made segment by segment: plans for each shape, and the variables in which the gradients lie. */
export class SegmentedBatches {
  readonly #device: Device;
  readonly #parts: StepParts;
  readonly #size: number;
  readonly #batches = new Map<string, SegmentedBatch>();
  #held: HeldGradients | undefined;
  /** Whether plans of updates read the variables. */
  #isRead = false;

  /** @param size blocks of a segment */
  constructor(device: Device, parts: StepParts, size: number) {
    this.#device = device;
    this.#parts = parts;
    this.#size = size;
  }

  /** Gradients in the dtypes of the parameters, and mean and count of the loss, of the batch that was run last. */
  get held(): HeldGradients {
    this.#isRead = true;
    return this.#hold();
  }
  get planCount(): number {
    return this.#all.reduce((sum, { planCount }) => sum + planCount, 0);
  }
  /** The most bytes that a batch has on the host between forward and backward pass. */
  get hostBytes(): number {
    return Math.max(0, ...this.#all.map(({ hostBytes }) => hostBytes));
  }
  get #all(): readonly SegmentedBatch[] {
    return [...this.#batches.values()];
  }

  run(spec: BatchSpec, batch: Batch): Promise<void> {
    return this.#with(spec, (segmented) => segmented.run(batch));
  }
  profile(spec: BatchSpec, batch: Batch): Promise<readonly KernelTime[]> {
    return this.#with(spec, (segmented) => segmented.profile(batch));
  }

  /** Bytes that such a batch takes at most. Frees what it makes to know. @throws DeviceError where the device does not say */
  async plan(spec: BatchSpec, updates: () => Promise<number>): Promise<number> {
    const known = this.#batches.get(spec.key);
    const wasHeld = this.#held !== undefined;
    let segmented = known;
    try {
      segmented ??= new SegmentedBatch(this.#device, this.#parts, this.#hold(), spec, this.#size);
      return Math.max(await segmented.plan(), await updates()) + segmented.deviceBytes + this.#heldBytes;
    } finally {
      if (!known) segmented?.dispose();
      if (!wasHeld) this.#release();
    }
  }

  /** Bytes of the plan that takes most, and those that are in variables. */
  plannedBytes(
    updates: { readonly peak: number; readonly sum: number } | undefined,
  ): { readonly peak: number; readonly sum: number } | undefined {
    const segmented = this.#all.at(-1);
    const own = segmented?.plannedBytes();
    if (!segmented || !own || !updates) return undefined;
    const held = segmented.deviceBytes + this.#heldBytes;
    return { peak: Math.max(own.peak, updates.peak) + held, sum: own.sum + updates.sum + held };
  }

  explain(): string {
    return this.#all.map((segmented) => segmented.explain()).join('\n\n');
  }

  dispose(): void {
    for (const segmented of this.#all) segmented.dispose();
    this.#batches.clear();
    this.#isRead = false;
    this.#release();
  }

  get #heldBytes(): number {
    const { gradients, loss } = this.#hold();
    return [...gradients, loss].reduce((sum, { storage }) => sum + storage!.byteLength, 0);
  }

  #hold(): HeldGradients {
    this.#held ??= holdGradients(this.#device, this.#parts, 'own');
    return this.#held;
  }
  /** Frees the variables, unless somebody needs them. */
  #release(): void {
    if (this.#isRead || this.#batches.size > 0) return;
    disposeGradients(this.#held);
    this.#held = undefined;
  }

  /** A first use that fails leaves nothing behind. */
  async #with<T>(spec: BatchSpec, use: (segmented: SegmentedBatch) => Promise<T>): Promise<T> {
    const known = this.#batches.get(spec.key);
    let segmented = known;
    try {
      segmented ??= new SegmentedBatch(this.#device, this.#parts, this.#hold(), spec, this.#size);
      this.#batches.set(spec.key, segmented);
      return await use(segmented);
    } catch (cause) {
      if (!known) {
        segmented?.dispose();
        this.#batches.delete(spec.key);
        this.#release();
      }
      throw cause;
    }
  }
}
