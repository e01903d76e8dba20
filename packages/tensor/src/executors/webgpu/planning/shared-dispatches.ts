import { addDims, type Dim } from '../../../dim.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../../shape.ts';
import { kernelSource, type SourceSpec } from '../codegen/kernel-source.ts';
import { type KernelPart, sharedKernel, workgroupBytes } from '../codegen/shared-kernel.ts';
import { getOrMake } from '../get-or-make.ts';
import type { BufferValue, ShareableKernel, Step, Work } from '../values.ts';
import { conflict } from './hoist-updates.ts';
import type { KnownKernels } from './known-kernels.ts';
import { planMemory } from './memory-plan.ts';
import { workAt } from './work.ts';

interface Context {
  readonly capabilities: WebGpuCapabilities;
  /** The most that a size can be in this plan. */
  bound(dim: Dim): number;
  /** Bytes of a buffer in this plan. */
  bytesOf(type: TensorType): number;
}

/** A kernel of more workgroups than these fills a large GPU by itself. */
const maxWorkgroups = 1024;
/**
 * A kernel with more workgroup memory than this works through tiles and has its values in registers, which several together
 * spill: on an H100 three products of 512 rows by subgroup matrices took 81 us in one dispatch and about 50 in three.
 */
const maxWorkgroupBytes = 4096;
/** How many dispatches forward a step may go, the first tried first. */
const reaches = [8, 3, 1];
const maxParts = 8;
/** What a plan may take more: that of its buffers fit together less well. */
const spareBytes = 1 << 16;

/** A step that may share a dispatch. */
interface Part {
  readonly step: Step & { readonly shareable: ShareableKernel };
  readonly alone: Step;
  readonly threads: number;
  /** Memory of a workgroup. */
  readonly workgroupBytes: number;
}

/** Steps that go together; a single one that may not share has no parts. */
interface Dispatch {
  readonly steps: Step[];
  readonly parts: Part[];
  /** Bytes of the temporaries that are alive while it runs. */
  live: number;
}

/**
 * Small kernels that do not depend on each other go into one dispatch, each with workgroups of its own: the products of one
 * input, the rows that keys and values are written to. What starts and ends a dispatch, for the host and for the GPU, takes
 * about as long as they do. What goes forward lives for longer: it goes as far as that takes no more memory.
 * @param known those of other plans
 */
export function shareDispatches(steps: readonly Step[], context: Context, known: KnownKernels): Step[] {
  const apart = planMemory(steps, context.bytesOf);
  const total = (slots: readonly number[]) => slots.reduce((sum, bytes) => sum + bytes, 0);
  for (const farthest of reaches) {
    const dispatches = gather(steps, apart.live, farthest, context);
    const joined = dispatches.map((dispatch) => ({ bindings: dispatch.steps.flatMap(({ bindings }) => bindings) }));
    if (total(planMemory(joined, context.bytesOf).slots) > total(apart.slots) + spareBytes) continue;
    return dispatches.map((dispatch) =>
      dispatch.steps.length === 1
        ? dispatch.steps[0]!
        : known.joined(
            dispatch.parts.map(({ alone }) => alone),
            () => shared(dispatch.parts, context),
          ),
    );
  }
  return [...steps];
}

/** @param live bytes of the temporaries that are alive while each step runs alone */
function gather(steps: readonly Step[], live: readonly number[], farthest: number, context: Context): Dispatch[] {
  const peak = Math.max(0, ...live);
  const dispatches: Dispatch[] = [];
  steps.forEach((step, i) => {
    const part = partOf(step, context);
    const written = temporaryBytes(step, context);
    const place = part && placeFor(part, dispatches.slice(-farthest), peak - written, context);
    if (!place) {
      dispatches.push({ steps: [step], parts: part ? [part] : [], live: live[i]! });
      return;
    }
    place.steps.push(step);
    place.parts.push(part!);
    for (const dispatch of dispatches.slice(dispatches.indexOf(place))) dispatch.live += written;
  });
  return dispatches;
}

/**
 * The earliest dispatch that can take a step which so far would come behind all of them: what depends on the step then goes
 * together too. None beyond one during which more than `maxLive` is alive already.
 */
function placeFor(
  part: Part,
  dispatches: readonly Dispatch[],
  maxLive: number,
  context: Context,
): Dispatch | undefined {
  let place: Dispatch | undefined;
  for (const dispatch of [...dispatches].reverse()) {
    if (dispatch.live > maxLive || dispatch.steps.some((step) => conflict(step, part.step))) break;
    if (fits(part, dispatch.parts, context)) place = dispatch;
  }
  return place;
}

function temporaryBytes({ bindings }: Step, { bytesOf }: Context): number {
  const written = bindings.filter(({ value, access }) => access === 'write' && value.kind === 'temporary');
  return written.reduce((sum, { value }) => sum + bytesOf(value.type), 0);
}

function partOf(step: Step, { bound }: Context): Part | undefined {
  const { shareable } = step;
  if (!shareable) return undefined;
  const bytes = workgroupBytes(shareable.workgroup);
  if (bytes > maxWorkgroupBytes) return undefined;
  const [x, y, z] = step.workgroups(bound);
  if (z > 1 || x * y > maxWorkgroups) return undefined;
  return { step: { ...step, shareable }, alone: step, threads: shareable.entry.threads, workgroupBytes: bytes };
}

function fits(part: Part, others: readonly Part[], { capabilities }: Context): boolean {
  if (others.length === 0 || others.length === maxParts || others[0]!.threads !== part.threads) return false;
  const all = [...others, part];
  const bytes = all.reduce((sum, { workgroupBytes }) => sum + workgroupBytes, 0);
  return bytes <= capabilities.maxWorkgroupStorageBytes && joinBindings(all).length <= capabilities.maxStorageBuffers;
}

interface Binding {
  readonly name: string;
  readonly value: BufferValue;
  readonly access: 'read' | 'write';
  readonly vector: 1 | 4 | 8;
}

/** The bindings of a dispatch, those of one buffer in one form once. */
function joinBindings(parts: readonly Part[]): Binding[] {
  const joined: Binding[] = [];
  for (const {
    step: { bindings, shareable },
  } of parts)
    bindings.forEach(({ value, access }, i) => {
      const { vector } = shareable.buffers[i]!;
      const known = joined.some((other) => other.value === value && other.access === access && other.vector === vector);
      if (!known) joined.push({ name: `buffer${joined.length}`, value, access, vector });
    });
  return joined;
}

function shared(own: readonly Part[], { capabilities }: Context): Step {
  const bindings = joinBindings(own);
  const parts = own.map(({ step }) => step);
  const sizes = new Map<string, { readonly name: string; readonly dim: Dim }>();
  const sizeName = (dim: Dim) => getOrMake(sizes, String(dim), () => ({ name: `size${sizes.size}`, dim })).name;
  const kernels = parts.map((part): KernelPart => {
    const named = part.bindings.map(({ value, access }, i) => {
      const { name, vector } = part.shareable.buffers[i]!;
      const own = bindings.find((b) => b.value === value && b.access === access && b.vector === vector)!;
      return [name, own.name] as const;
    });
    const fields = part.shareable.parameters.map((name, i) => [name, sizeName(part.parameters[i]!)] as const);
    return { kernel: part.shareable, buffers: new Map(named), sizes: new Map(fields) };
  });
  const label = labelOf(parts);
  const text: SourceSpec = {
    label,
    buffers: bindings.map(({ name, value, access, vector }) => ({ name, dtype: value.type.dtype, access, vector })),
    ...sharedKernel(kernels),
    parameters: [...sizes.values()].map(({ name }) => name),
    requires: [...new Set(parts.flatMap(({ shareable: { requires = [] } }) => requires))],
  };
  return {
    label,
    source: kernelSource(text, capabilities),
    bindings: bindings.map(({ value, access }) => ({ value, access })),
    parameters: [...sizes.values()].map(({ dim }) => dim),
    workgroups(size) {
      let [x, y] = [0, 0];
      for (const part of parts) {
        const counts = part.workgroups(size);
        x = Math.max(x, counts[0]);
        y = Math.max(y, counts[1]);
      }
      return [x, y, parts.length];
    },
    work: workOf(parts),
  };
}

/** Each label once, with how many there are of it. */
function labelOf(parts: readonly Step[]): string {
  const counts = new Map<string, number>();
  for (const { label } of parts) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => (count === 1 ? label : `${count} ${label}`)).join(' | ');
}

function workOf(parts: readonly Step[]): Work {
  const flops = parts.flatMap(({ work }) => (work?.flops === undefined ? [] : [work.flops]));
  return {
    flops: flops.length === 0 ? undefined : flops.reduce(addDims),
    bytes: (size) => parts.reduce((sum, part) => sum + workAt(part, size).bytes, 0),
  };
}
