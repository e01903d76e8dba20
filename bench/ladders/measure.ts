/** Normal values: what a product draws, and with it the clock, depends on its values. */
export const normalValues = (count: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );

/** Times passes of dispatches by the device's own clock, and reads rows of f32. Needs `timestamp-query`. */
export class Ladder {
  readonly #device: GPUDevice;
  readonly #times: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #stamps: GPUBuffer;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#times = device.createQuerySet({ type: 'timestamp', count: 2 });
    this.#resolved = device.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    this.#stamps = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  }

  /** Nanoseconds of a pass. */
  async time(pass: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const encoder = this.#device.createCommandEncoder();
    const timestampWrites = { querySet: this.#times, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const recorded = encoder.beginComputePass({ timestampWrites });
    pass(recorded);
    recorded.end();
    encoder.resolveQuerySet(this.#times, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#stamps, 0, 16);
    this.#device.queue.submit([encoder.finish()]);
    await this.#stamps.mapAsync(GPUMapMode.READ);
    const [begin, end] = new BigUint64Array(this.#stamps.getMappedRange().slice(0));
    this.#stamps.unmap();
    return Number(end! - begin!);
  }

  /** A row of a matrix of f32, `width` values wide. */
  async row(matrix: GPUBuffer, row: number, width: number): Promise<Float32Array> {
    const staging = this.#device.createBuffer({
      size: width * 4,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(matrix, row * width * 4, staging, 0, width * 4);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return values;
  }

  /** All of a buffer is 0. */
  clear(buffer: GPUBuffer): void {
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(buffer);
    this.#device.queue.submit([encoder.finish()]);
  }
}

/** Measures candidates five times in turns, so that a drifting clock meets all alike, and prints them, the fastest first. */
export async function compare<T extends { readonly name: string; readonly error: number; readonly tflops: number[] }>(
  candidates: readonly T[],
  measure: (candidate: T) => Promise<number>,
  more: (candidate: T) => string = () => '',
): Promise<void> {
  for (let round = 0; round < 5; round++)
    for (const candidate of candidates) candidate.tflops.push(await measure(candidate));
  const middle = ({ tflops }: T) => [...tflops].sort((x, y) => x - y)[2]!;
  for (const candidate of [...candidates].sort((x, y) => middle(y) - middle(x)))
    console.log(
      `${middle(candidate).toFixed(2).padStart(7)} TFLOP/s (${candidate.tflops.map((x) => x.toFixed(1)).join(' ')})  err ${candidate.error.toExponential(1)}${more(candidate)}  ${candidate.name}`,
    );
}
