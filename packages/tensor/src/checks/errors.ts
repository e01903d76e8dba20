const brand = Symbol.for('heddle.error');

/** What an error may carry besides its message. */
export interface HeddleErrorOptions {
  /** Replaces the class's own code by a narrower one, such as `ERR_SAFETENSORS_HEADER`. */
  readonly code?: string;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/**
 * Base of every error that Heddle throws on purpose.
 *
 * The message names the operation, the rule, what was expected and what came. The `code` is stable and is what programs
 * should test; the brand is a registered symbol, so `isHeddleError` works across duplicate installs and realms, where
 * `instanceof` does not.
 */
export class HeddleError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'HeddleError';
    this.code = code;
    // Not enumerable: it is for programs, and would clutter a printed error.
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Whether a value is an error of Heddle's, of the given code where one is named. */
export function isHeddleError(value: unknown, code?: string): value is HeddleError {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false;
  return code === undefined || ('code' in value && value.code === code);
}

/** Shapes do not fit an operation, or each other. Code `ERR_SHAPE`. */
export class ShapeError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_SHAPE', message, options);
    this.name = 'ShapeError';
  }
}

/** An operation does not take this dtype, or its inputs differ in it. Code `ERR_DTYPE`. */
export class DTypeError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_DTYPE', message, options);
    this.name = 'DTypeError';
  }
}

/** Something was used after it was disposed of. Code `ERR_DISPOSED`. */
export class DisposedError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_DISPOSED', message, options);
    this.name = 'DisposedError';
  }
}

/** A device cannot be opened, or refuses what it was asked to run. Code `ERR_DEVICE`. */
export class DeviceError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_DEVICE', message, options);
    this.name = 'DeviceError';
  }
}

/** The device went away; everything on it is lost. Code `ERR_DEVICE_LOST`. */
export class DeviceLostError extends DeviceError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(message, { ...options, code: options.code ?? 'ERR_DEVICE_LOST' });
    this.name = 'DeviceLostError';
  }
}

/** What an allocation was refused for. */
export interface RefusedAllocation extends HeddleErrorOptions {
  /** Bytes that were asked for. */
  readonly requested?: number;
  /** Bytes that there may be: the budget, or what one buffer of the device can have. */
  readonly budget?: number;
  /** Who holds how many bytes, largest first. */
  readonly holders?: readonly { readonly owner: string; readonly bytes: number }[];
}

/** An allocation would exceed the byte budget or the device; nothing was allocated. Code `ERR_OUT_OF_MEMORY`. */
export class OutOfMemoryError extends HeddleError {
  readonly requested: number | undefined;
  readonly budget: number | undefined;
  /** Who held how many bytes, largest first. */
  readonly holders: readonly { readonly owner: string; readonly bytes: number }[];

  constructor(message: string, options: RefusedAllocation = {}) {
    super(options.code ?? 'ERR_OUT_OF_MEMORY', message, options);
    this.name = 'OutOfMemoryError';
    this.requested = options.requested;
    this.budget = options.budget;
    this.holders = options.holders ?? [];
  }
}

/** A file is missing, damaged or not of the expected format. Code `ERR_FILE_FORMAT`, or a narrower one of its format. */
export class FileFormatError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_FILE_FORMAT', message, options);
    this.name = 'FileFormatError';
  }
}

/**
 * An index was outside of what it picks from, found in a run of a device that was opened with `debug`. Code `ERR_INDEX`.
 * Updates of that run have happened, and the device is usable.
 */
export class IndexError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_INDEX', message, options);
    this.name = 'IndexError';
  }
}

/** An argument is outside what a function takes. Code `ERR_ARGUMENT`. */
export class ArgumentError extends HeddleError {
  constructor(message: string, options: HeddleErrorOptions = {}) {
    super(options.code ?? 'ERR_ARGUMENT', message, options);
    this.name = 'ArgumentError';
  }
}
