/** Numbers of the WebGPU specification; the globals that name them are not there in Node. */
export const bufferUsage = {
  mapRead: 0x1,
  mapWrite: 0x2,
  copySource: 0x4,
  copyDestination: 0x8,
  uniform: 0x40,
  storage: 0x80,
  queryResolve: 0x200,
} as const;
export const mapModeRead = 0x1;
export const mapModeWrite = 0x2;
export const shaderStageCompute = 0x4;
