import { nodeModules } from './node-modules.ts';

/** `#hub-listing` in browsers, where nothing is fetched into a folder: bundles are spared the library. @throws HubError always */
export const listFiles: () => unknown = nodeModules;
/** @throws HubError always */
export const modelInfo: () => unknown = nodeModules;
