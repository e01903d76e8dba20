import type { LayerReport, ModelReport } from '../inspect/report.ts';
import { bytesText, countText, flopsText } from '../inspect/units.ts';
import { weightParts } from '../inspect/weight-parts.ts';

/** A report as `heddle inspect` prints it. */
export function reportText(report: ModelReport): string {
  const sections: (readonly string[])[] = [heading(report), partTable(report), layerTable(report), totals(report)];
  if (report.advice) sections.push(report.advice.lines);
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function heading({ name, architecture, parameters, activeParameters, maxPositions }: ModelReport): string[] {
  return [
    `${name}: ${architecture}, ${parameters.total.toLocaleString('en-US')} parameters, context ${maxPositions}`,
    `${activeParameters.toLocaleString('en-US')} of them compute each token`,
  ];
}

function partTable({ parameters, memory, dtype, weightBytes }: ModelReport): string[] {
  const rows = weightParts
    .filter((part) => parameters[part] > 0)
    .map((part) => [part, parameters[part].toLocaleString('en-US'), bytesText(memory[part])]);
  const others = Object.entries(weightBytes).map(([name, bytes]) => `${name} ${bytesText(bytes)}`);
  return [
    ...table([
      ['part', 'parameters', `bytes in ${dtype}`],
      ...rows,
      ['total', parameters.total.toLocaleString('en-US'), bytesText(memory.total)],
    ]),
    `weights in: ${others.join(', ')}`,
  ];
}

/** Neighbours that are alike are one row. */
function layerTable({ layers, cacheDtype, length, batch }: ModelReport): string[] {
  const groups: { from: number; to: number; layer: LayerReport }[] = [];
  for (const [index, layer] of layers.entries()) {
    const last = groups.at(-1);
    if (last && JSON.stringify(last.layer) === JSON.stringify(layer)) last.to = index;
    else groups.push({ from: index, to: index, layer });
  }
  const rows = groups.map(({ from, to, layer }) => [
    from === to ? `${from}` : `${from}-${to}`,
    attentionText(layer),
    layer.parameters.toLocaleString('en-US'),
    bytesText(layer.cacheBytesPerToken),
    bytesText(layer.cacheBytes),
    flopsText(layer.prefill.attention),
    flopsText(layer.prefill.rest),
    flopsText(layer.decode.attention),
    flopsText(layer.decode.rest),
  ]);
  const title = `each layer, ${cacheDtype} cache, ${countText(batch, 'sequence')} of ${length} tokens:`;
  const head = ['layer', 'attention', 'parameters', 'cache/token', 'cache', 'prefill attention', 'rest'];
  return [title, ...table([[...head, 'decode attention', 'rest'], ...rows])];
}

function attentionText({ attention, recurrent, stateBytes }: LayerReport): string {
  if (!attention) return recurrent ? `${recurrent} (state ${bytesText(stateBytes)})` : 'none';
  const { kind, heads, headDim, window } = attention;
  return `${kind} (${heads} x ${headDim}${window === undefined ? '' : `, window ${window}`})`;
}

function totals(report: ModelReport): string[] {
  const { prefill, decode, cacheBytesPerToken, stateBytes, cacheBytes, memory, tableBytes, length, batch } = report;
  const tokens = length * batch;
  const states = stateBytes > 0 ? `${bytesText(stateBytes)} of states a sequence, ` : '';
  return [
    `cache: ${bytesText(cacheBytesPerToken)} a token, ${states}${bytesText(cacheBytes)} in all; with the weights ${bytesText(memory.total + cacheBytes)}, and ${bytesText(tableBytes)} of tables of positions`,
    `prefill: ${flopsText(prefill.total)} (attention ${flopsText(prefill.attention)}, rest ${flopsText(prefill.rest)}, head ${flopsText(prefill.head)}), ${flopsText(prefill.total / tokens)} a token`,
    `decode: ${flopsText(decode.total / batch)} a token (attention ${flopsText(decode.attention / batch)}, rest ${flopsText(decode.rest / batch)}, head ${flopsText(decode.head / batch)})`,
  ];
}

/** Columns in line: the first two to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isText = (column: number) => column === 0 || rows[0]![column] === 'attention';
  return rows.map((row) =>
    row
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
