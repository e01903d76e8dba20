import type { OptionKinds } from '../checks/check-options.ts';

/** What `tensor` takes. */
export const tensorKinds: OptionKinds = { shape: 'list?', dtype: 'text?' };
/** What every variable takes. */
const named: OptionKinds = { name: 'text?', owner: 'text?' };
/** What `variable` takes. */
export const variableKinds: OptionKinds = { ...tensorKinds, ...named, frozen: 'boolean?' };
/** What `zeroVariable` takes. */
export const zeroVariableKinds: OptionKinds = { dtype: 'text?', ...named };
/** What `variableOfParts` takes. */
export const variableOfPartsKinds: OptionKinds = { shape: 'list', dtype: 'text', ...named, frozen: 'boolean?' };
