import type { OnnxModel, OnnxValue } from './model.ts';

const valueText = ({ name, type, shape }: OnnxValue) => `  ${name}: ${type} [${shape.join(', ')}]`;

/** The inputs, nodes, outputs and initialisers of a model, for people. */
export function explainModel({ inputs, nodes, outputs, initializers }: OnnxModel): string {
  const bytes = initializers.reduce((sum, { data }) => sum + data.byteLength, 0);
  return [
    'inputs',
    ...inputs.map(valueText),
    `nodes (${nodes.length})`,
    ...nodes.map((node) => `  ${node.name}: ${node.type}(${node.inputs.join(', ')}) -> ${node.outputs.join(', ')}`),
    'outputs',
    ...outputs.map(valueText),
    `initialisers: ${initializers.length}, ${bytes} bytes; the runtime's own memory is not known`,
  ].join('\n');
}
