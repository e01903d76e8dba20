import { ArgumentError } from '../../../checks/errors.ts';
import type { OnnxModel, OnnxNode } from '../model.ts';

/**
 * Names for leaves of a tree: `batch.tokens` for the path of a field, `input0` for what has a place only. Where two fields of
 * different places would be called the same, all names carry the places.
 */
function namesOfPaths(prefix: 'input' | 'output', paths: readonly string[]): readonly string[] {
  const short = paths.map((path) => {
    const [, place, field] = /^\[(\d+)\](.*)$/.exec(path) ?? [];
    if (place === undefined) return path || prefix;
    return field!.startsWith('.') ? field!.slice(1) : `${prefix}${place}${field}`;
  });
  if (new Set(short).size === short.length) return short;
  return paths.map((path) => prefix + path.replace(/^\[(\d+)\]/, '$1'));
}

/** Names that were asked for, or else those derived, none of which may be in `taken`. @throws ArgumentError */
export function chosenNames(
  prefix: 'input' | 'output',
  asked: readonly string[] | undefined,
  paths: readonly string[],
  taken: readonly string[] = [],
): readonly string[] {
  if (!asked) return namesOfPaths(prefix, paths).map((name) => (taken.includes(name) ? `${prefix}.${name}` : name));
  if (asked.length !== paths.length)
    throw new ArgumentError(
      `exportOnnx: the function has ${paths.length} ${prefix}s (${namesOfPaths(prefix, paths).join(', ')}), got ${asked.length} ${prefix}Names`,
    );
  asked.forEach((name, i) => {
    if (name === '' || asked.indexOf(name) !== i || taken.includes(name))
      throw new ArgumentError(
        `exportOnnx: names of inputs and outputs must differ and not be empty, got '${name}' twice or empty`,
      );
  });
  return asked;
}

/**
 * The model with other names for its values: those that `fixed` names exactly, those that `wanted` names as near to it as what
 * is free, and all others as they are where that is free.
 */
export function renameValues(
  model: OnnxModel,
  fixed: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): OnnxModel {
  const names = new Map(fixed);
  const taken = new Set(fixed.values());
  const nameOf = (value: string): string => {
    if (value === '') return value; // an optional input that is left out
    let name = names.get(value);
    if (name === undefined) {
      const base = wanted.get(value) ?? value;
      name = base;
      for (let i = 1; taken.has(name); i++) name = `${base}_${i}`;
      names.set(value, name);
      taken.add(name);
    }
    return name;
  };
  const renamed = <T extends { readonly name: string }>(value: T): T => ({ ...value, name: nameOf(value.name) });
  return {
    inputs: model.inputs.map(renamed),
    outputs: model.outputs.map(renamed),
    initializers: model.initializers.map(renamed),
    nodes: model.nodes.map((node) => renamedNode(node, nameOf)),
  };
}

function renamedNode(node: OnnxNode, nameOf: (value: string) => string): OnnxNode {
  const typed = <T extends { readonly value: string }>(entry: T): T => ({ ...entry, value: nameOf(entry.value) });
  return {
    ...node,
    inputs: node.inputs.map(nameOf),
    outputs: node.outputs.map(nameOf),
    ...(node.body && {
      body: {
        inputs: node.body.inputs.map(typed),
        outputs: node.body.outputs.map(typed),
        nodes: node.body.nodes.map((inner) => renamedNode(inner, nameOf)),
      },
    }),
  };
}
