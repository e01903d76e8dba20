import {
  byteSize,
  type CompiledFunction,
  compile,
  concat,
  type Device,
  gradients,
  type HostArray,
  type KernelTime,
  Tensor,
  type Update,
  type Variable,
} from '@heddle/tensor';
import type { Batch, BatchSpec } from '../model/batch.ts';
import { meanLoss } from '../model/model.ts';
import type { HeldGradients } from './batch-gradients.ts';
import type { StepParts, Traced } from './record-step.ts';
import { ancestorsOf, recordEnd, recordSegment, type Segments, segmentsOf } from './segments.ts';

type SegmentPlan = CompiledFunction<[Traced], Update[]>;

/** How a plan is run: replayed, or timed. */
type RunPlan = (plan: SegmentPlan, batch: Batch) => Promise<unknown>;

/**
 * The gradients of a batch, segment by segment. What goes from one segment into the next is on the device in two variables that
 * take turns, and on the host from the forward pass to the backward pass. Copies to the host go on while the next segment
 * computes, and so do those back. The last two boundaries stay where they are: they are the next that the backward pass needs.
 */
export class SegmentedBatch {
  readonly segments: Segments;
  readonly #device: Device;
  readonly #spec: BatchSpec;
  readonly #parts: StepParts;
  readonly #held: HeldGradients;
  /** Boundaries, by turns. */
  readonly #slots: Variable[] = [];
  /** Of the loss by the boundary that the backward pass has come to. */
  #gradient: Variable | undefined;
  /** Plans forward by segment, then that of the last segment with the loss, then plans backward: in the order of their runs. */
  readonly #plans: readonly SegmentPlan[];
  /** Of each parameter that gets a gradient: the plan that gives it first. */
  readonly #firsts = new Map<number, number>();

  /** @throws what `segmentsOf` throws; OutOfMemoryError, and nothing is left on the device */
  constructor(device: Device, parts: StepParts, held: HeldGradients, spec: BatchSpec, size: number) {
    this.#device = device;
    this.#parts = parts;
    this.#held = held;
    this.#spec = spec;
    this.segments = segmentsOf(device, parts.model, spec, size);
    const { list, boundary } = this.segments;
    const last = list.length - 1;
    const allocate = (name: string) =>
      device.zeroVariable(boundary.shape, { name, dtype: boundary.dtype, owner: 'boundaries' });
    try {
      for (let i = 0; i < Math.min(2, last); i++) this.#slots.push(allocate(`boundary.${i}`));
      if (last > 0) this.#gradient = allocate('boundary.gradient');
    } catch (cause) {
      this.dispose();
      throw cause;
    }
    const plan = (name: string, record: (batch: Traced) => Update[]): SegmentPlan =>
      compile(record, { device, inputs: [spec.inputs] as never, name: `train step, ${name}` }) as SegmentPlan;
    const names = list.map(({ start, end }) => (end - start === 1 ? `block ${start}` : `blocks ${start}-${end - 1}`));
    const before = Array.from({ length: last }, (_, i) => i);
    this.#plans = [
      ...before.map((i) => plan(`${names[i]} forward`, (batch) => this.#recordForward(batch, i))),
      plan(`${names[last]} and the loss`, (batch) => this.#recordEnd(batch)),
      ...before.reverse().map((i) => plan(`${names[i]} backward`, (batch) => this.#recordBackward(batch, i))),
    ];
  }

  get planCount(): number {
    return this.#plans.length;
  }

  /** Bytes of a boundary. */
  get boundaryBytes(): number {
    const { shape, dtype } = this.segments.boundary;
    return shape.reduce((a, b) => a * b, 1) * byteSize[dtype];
  }
  /** Bytes that are on the host at the end of the forward pass. */
  get hostBytes(): number {
    return this.#onHost * this.boundaryBytes;
  }
  /** Bytes of boundaries, and of the gradient by one, on the device. */
  get deviceBytes(): number {
    return [...this.#slots, this.#gradient].reduce((sum, variable) => sum + (variable?.storage?.byteLength ?? 0), 0);
  }
  /** How many boundaries go to the host: all but the last two. */
  get #onHost(): number {
    return Math.max(0, this.segments.list.length - 3);
  }

  /** Makes the gradients of a batch, in the variables that it was given. Resolves when the device has the work. */
  async run(batch: Batch, run: RunPlan = (plan, given) => plan(given as never)): Promise<void> {
    const given: Record<string, Tensor> = {};
    const host = new Map<number, Promise<HostArray>>();
    try {
      for (const [name, value] of Object.entries(batch)) given[name] = this.#onDevice(name, value);
      const last = this.segments.list.length - 1;
      for (let i = 0; i < last; i++) {
        await run(this.#plans[i]!, given);
        const made = i + 1;
        if (made > last - 2) continue; // stays in its slot
        await host.get(made - 2); // no more than two are under way
        const copied = this.#boundary(made)!.data();
        copied.catch(() => {}); // looked at when its turn comes
        host.set(made, copied);
      }
      await run(this.#plans[last]!, given);
      for (let i = last - 1; i >= 0; i--) {
        await run(this.#plans[last + (last - i)]!, given);
        // into the slot of the boundary before, which the plan before was the last to read
        const next = i - 1;
        const copied = host.get(next);
        if (copied) await this.#boundary(next)!.write([await copied]);
        host.delete(next);
      }
    } finally {
      await Promise.allSettled(host.values()); // of a step that failed
      for (const [name, tensor] of Object.entries(given)) if (tensor !== batch[name]) tensor.dispose();
    }
  }

  /** Runs it with all kernels timed. */
  async profile(batch: Batch): Promise<readonly KernelTime[]> {
    const times: KernelTime[] = [];
    await this.run(batch, async (plan, given) => times.push(...(await plan.profile([given] as never))));
    return times;
  }

  /** Bytes of activations of the plan that takes most. @throws DeviceError where the device does not say */
  async plan(): Promise<number> {
    let most = 0;
    for (const plan of this.#plans) {
      const { memory } = await plan.report();
      most = Math.max(most, memory.activations + memory.outputs);
    }
    return most;
  }

  plannedBytes(): { readonly peak: number; readonly sum: number } | undefined {
    const all = this.#plans.map((plan) => plan.plannedBytes());
    if (!all.every((bytes) => bytes !== undefined)) return undefined;
    return { peak: Math.max(...all.map(({ peak }) => peak)), sum: all.reduce((total, { sum }) => total + sum, 0) };
  }

  explain(): string {
    const { blocks, list } = this.segments;
    const shown = list.map(({ start, end }) => (end - start === 1 ? start : `${start}-${end - 1}`));
    return [
      `offload: ${blocks} blocks are cut into ${list.length} segments, which are computed again in the backward pass: ${shown.join(', ')}`,
      `offload: ${this.#onHost} of ${list.length - 1} boundaries of ${this.boundaryBytes} bytes are on the host between forward and backward pass: ${this.hostBytes} bytes`,
      ...this.#plans.map((plan) => plan.explain()),
    ].join('\n');
  }

  dispose(): void {
    for (const plan of this.#plans ?? []) plan.dispose();
    for (const variable of [...this.#slots, this.#gradient]) variable?.dispose();
  }

  #onDevice(name: string, value: Batch[string]): Tensor {
    if (value instanceof Tensor) return value;
    const { shape, dtype } = this.#spec.inputs[name]!;
    const data = ArrayBuffer.isView(value) ? value : (value as { readonly data: HostArray }).data;
    return this.#device.tensor(data, { shape, dtype });
  }

  /** What goes into a segment; undefined of the first. */
  #boundary(index: number): Variable | undefined {
    return index === 0 ? undefined : this.#slots[(index - 1) % 2]!;
  }

  #recordForward(batch: Traced, index: number): Update[] {
    const made = recordSegment(this.#parts.model, batch, this.segments.list[index]!, this.#boundary(index));
    return [this.#boundary(index + 1)!.assign(made)];
  }

  #recordEnd(batch: Traced): Update[] {
    const { model, loss, precision, state } = this.#parts;
    const last = this.segments.list.length - 1;
    const output = recordEnd(model, batch, this.segments.list[last]!, this.#boundary(last));
    const { mean, count } = meanLoss(loss(output, batch));
    const scale = precision.lossScale?.scale(state.lossScale, mean);
    return [
      ...this.#recordGradients(last, scale ? mean.mul(scale) : mean),
      this.#held.loss.assign(concat([mean.reshape([1]), count.reshape([1])], 0)),
    ];
  }

  #recordBackward(batch: Traced, index: number): Update[] {
    const made = recordSegment(this.#parts.model, batch, this.segments.list[index]!, this.#boundary(index));
    // a scalar whose gradient by `made` is the one that came back
    return this.#recordGradients(index, made.mul(this.#gradient!).sum());
  }

  /** Gradients of a scalar by what goes into a segment and by the parameters. */
  #recordGradients(segment: number, scalar: Tensor): Update[] {
    const values = this.#parts.parameters.map(({ value }) => value);
    const input = this.#boundary(segment);
    const found = gradients(scalar, [...values, ...(input ? [input] : [])]);
    const reached = ancestorsOf(scalar);
    const updates = this.#held.gradients.flatMap((sum, i) => {
      if (!reached.has(values[i]!))
        // of a parameter that no plan has reached the last one gives zeros
        return segment === 0 && !this.#firsts.has(i) ? [sum.assign(found[i]!)] : [];
      if (!this.#firsts.has(i)) this.#firsts.set(i, segment);
      return [sum.assign(this.#firsts.get(i) === segment ? found[i]! : sum.add(found[i]!))];
    });
    return input ? [...updates, this.#gradient!.assign(found[values.length]!)] : updates;
  }
}
