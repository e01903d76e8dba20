/** What became of a buffer that a recording device made. */
export interface RecordedBufferState {
  /** Its number, from 0 in the order in which they were made. */
  readonly index: number;
  readonly size: number;
  readonly usage: number;
  readonly destroyed: boolean;
}

/** A buffer of zeros. */
export class RecordedBuffer implements RecordedBufferState {
  readonly index: number;
  readonly size: number;
  readonly usage: number;
  destroyed = false;

  constructor(index: number, size: number, usage: number) {
    this.index = index;
    this.size = size;
    this.usage = usage;
  }

  async mapAsync(): Promise<void> {}
  getMappedRange(_offset = 0, size: number = this.size): ArrayBuffer {
    return new ArrayBuffer(size);
  }
  unmap(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}
