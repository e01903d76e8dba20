import { bufferUsage } from '../gpu-flags.ts';
import type { DeviceHealth } from '../health.ts';
import { spreadWorkgroups } from '../workgroups.ts';
import type { BufferPool, DeviceBuffer } from './buffers.ts';

/** Overwrites values `range.x` to `range.x + range.y`, an invocation for each word that has one of them. */
const source = `
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> halves: array<u32>;
@group(0) @binding(2) var<uniform> range: vec2<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let word = range.x / 2u + ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  if (2u * word >= range.x + range.y) { return; }
  var value = halves[word];
  for (var j = 0u; j < 2u; j++) {
    let i = 2u * word + j - range.x;
    if (i < range.y) {
      let half = (given[i / 2u] >> (16u * (i % 2u))) & 0xffffu;
      value = (value & ~(0xffffu << (16u * j))) | (half << (16u * j));
    }
  }
  halves[word] = value;
}`;

/** Halves that are written at once. */
const maxHalves = 1 << 24;
/** Bindings begin at multiples of this many bytes. */
const alignment = 256;

/** Writes f16 values from or up to the middle of a word, which WebGPU's own writes cannot. */
export class HalfWriter {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #health: DeviceHealth;
  #pipeline: GPUComputePipeline | undefined;

  constructor(device: GPUDevice, pool: BufferPool, health: DeviceHealth) {
    this.#health = health;
    this.#device = device;
    this.#pool = pool;
  }

  /** @throws OutOfMemoryError before anything is written */
  write(buffer: DeviceBuffer, data: Uint16Array, offset: number): void {
    // pieces that a binding can reach, wherever they are in a large buffer
    const most = Math.min(maxHalves, this.#device.limits.maxStorageBufferBindingSize / 2 - alignment);
    for (let from = 0; from < data.length; from += most)
      this.#writePiece(buffer, data.subarray(from, from + most), offset + from);
  }

  #writePiece(buffer: DeviceBuffer, data: Uint16Array, offset: number): void {
    const device = this.#device;
    const given = this.#pool.allocate(Math.ceil(data.length / 8) * 16, 'writes');
    const even = new Uint16Array(Math.ceil(data.length / 2) * 2);
    even.set(data);
    device.queue.writeBuffer(given.buffer.gpu, 0, even);
    const range = device.createBuffer({ size: 16, usage: bufferUsage.uniform | bufferUsage.copyDestination });
    const begin = Math.floor((2 * offset) / alignment) * alignment;
    device.queue.writeBuffer(range, 0, Uint32Array.of(offset - begin / 2, data.length));
    this.#pipeline ??= device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: source }), entryPoint: 'main' },
    });
    const end = Math.min(buffer.byteLength, Math.ceil((2 * (offset + data.length)) / 4) * 4);
    const entries = [
      { binding: 0, resource: { buffer: given.buffer.gpu } },
      { binding: 1, resource: { buffer: buffer.gpu, offset: begin, size: end - begin } },
      { binding: 2, resource: { buffer: range } },
    ];
    const { pass } = this.#health.recorder;
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: this.#pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...spreadWorkgroups(Math.ceil((data.length / 2 + 1) / 64)));
    this.#health.submit();
    this.#health.flush();
    range.destroy();
    given.release();
  }
}
