import type { Dim } from '../../../dim.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBody, KernelBuiltin, WebGpuCapabilities, WorkgroupArray } from '../../../graph/webgpu-lowering.ts';
import { getOrMake } from '../get-or-make.ts';
import type { BufferValue, Step } from '../values.ts';
import { type KernelEntry, kernelSource, type SourceSpec } from './kernel-source.ts';
import type { GivenNames } from './names.ts';
import { partsOf } from './parts.ts';
import { SizeTable } from './size-table.ts';

/** The value that has `tensor` in its buffer; undefined where it is to be computed. */
export type BufferOf = (tensor: Tensor) => BufferValue | undefined;

/** `bufferOf` of a kernel that computes `tensor`, and therefore does not read it. */
export const computing =
  (computed: Tensor, bufferOf: BufferOf): BufferOf =>
  (tensor) =>
    tensor === computed ? undefined : bufferOf(tensor);

interface BuilderContext {
  readonly capabilities: WebGpuCapabilities;
  /** The most that a size can be in the plan that the kernel is for. */
  bound(dim: Dim): number;
}

/** What a kernel is beside its buffers and sizes. */
export interface KernelParts {
  readonly label: string;
  readonly entry: KernelEntry;
  readonly workgroup?: Readonly<Record<string, WorkgroupArray>> | undefined;
  readonly body: KernelBody;
  readonly requires?: readonly string[] | undefined;
  readonly workgroups: Step['workgroups'];
  /** Writes the body once more with other names, for a kernel that ignores workgroups beyond its own. */
  readonly rewrite?: ((names: GivenNames) => KernelBody) | undefined;
}

interface Binding {
  readonly name: string;
  readonly value: BufferValue;
  access: 'read' | 'write';
  vector: 1 | 4 | 8;
  atomic?: boolean;
}

/** Collects the buffers and sizes of one kernel while its text is written. */
export class KernelBuilder {
  readonly sizes: SizeTable;
  /** The names that the kernel's text uses. */
  readonly names: GivenNames;
  readonly capabilities: WebGpuCapabilities;
  /** Values that are read at other places than that at which the kernel writes. */
  readonly readElsewhere: Set<BufferValue> = new Set();
  readonly #bound: BuilderContext['bound'];
  readonly #prefix: string;
  readonly #bindings: Binding[] = [];
  readonly #byValue = new Map<BufferValue, Binding>();

  /** @param prefix of the names that this gives, where a kernel's author chooses names too */
  constructor({ capabilities, bound }: BuilderContext, names: GivenNames, prefix = '') {
    this.capabilities = capabilities;
    this.names = names;
    this.#bound = bound;
    this.#prefix = prefix;
    this.sizes = new SizeTable(names, prefix);
  }

  /** The name of a buffer that is read. */
  reads(value: BufferValue): string {
    return this.#bind(value).name;
  }
  /** The name of a buffer that is written, and maybe read too: it is bound once. */
  writes(value: BufferValue): string {
    const binding = this.#bind(value);
    binding.access = 'write';
    return binding.name;
  }
  /** Declares a buffer as vectors of four. */
  vectorize(value: BufferValue): void {
    this.#bind(value).vector = 4;
  }
  /** Declares the words of a buffer as atomic. */
  changeAtomically(value: BufferValue): void {
    this.#bind(value).atomic = true;
  }
  /** Binds a buffer under a name of the caller's, beside any other binding of it. */
  declare(name: string, value: BufferValue, access: 'read' | 'write', vector: 1 | 4 | 8): void {
    this.#bindings.push({ name, value, access, vector });
  }

  #bind(value: BufferValue): Binding {
    return getOrMake(this.#byValue, value, () => {
      const binding: Binding = { name: `${this.#prefix}b${this.#byValue.size}`, value, access: 'read', vector: 1 };
      this.#bindings.push(binding);
      return binding;
    });
  }

  build({ label, entry, workgroup = {}, body, requires = [], workgroups, rewrite }: KernelParts): Step {
    const buffers = this.#bindings.map(({ name, value, access, vector, atomic }) => ({
      name,
      dtype: value.type.dtype,
      access,
      vector,
      atomic,
      parts: partsOf(value.type, this.#bound, this.capabilities),
    }));
    const spec: SourceSpec = {
      label,
      buffers,
      parameters: this.sizes.names,
      entry,
      workgroup,
      body,
      used: this.names.used,
      asked: this.names.asked,
      requires,
    };
    const isShareable = rewrite && buffers.every(({ parts }) => !parts);
    return {
      label,
      source: kernelSource(spec, this.capabilities),
      ...(isShareable ? { shareable: { ...spec, write: rewrite } } : {}),
      bindings: this.#bindings.flatMap(({ value, access }, i): Step['bindings'] => {
        const parts = buffers[i]!.parts;
        if (!parts) return [{ value, access }];
        return Array.from({ length: parts.count }, (_, k) => ({
          value,
          access,
          part: { offset: k * parts.bytes, size: parts.bytes },
        }));
      }),
      parameters: this.sizes.sizes,
      workgroups,
    };
  }
}

/** The built-in values that most kernels take. */
export const standardBuiltins: Readonly<Record<string, KernelBuiltin>> = {
  w: 'workgroup_id',
  n: 'num_workgroups',
  l: 'local_invocation_index',
};
