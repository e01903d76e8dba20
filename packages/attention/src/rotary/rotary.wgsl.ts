import type { WebGpuLowering } from '@heddle/tensor';
import type { RotaryAttributes } from './rotary.ts';

/** Value by value, so that it fuses with what makes x and with what takes the result. */
export const rotaryWebGpu: WebGpuLowering<RotaryAttributes> = {
  at({ inputs: [x, , cos], attributes: { interleaved, inverse }, read, dim, let: bind, prelude }, coordinates) {
    const half = cos!.shape[1] as number;
    const front = coordinates.slice(0, -1);
    const d = coordinates.at(-1)!;
    // a position before the table, as u32, is behind it
    const asked = bind(`u32(${read(1, coordinates.slice(0, -2))})`);
    const rows = dim(cos!.shape[0]!);
    const position = bind(`min(${asked}, ${rows} - 1u)`);
    // components behind the rotated part read the table's last column and keep their own value
    const pair = bind(interleaved ? `min(${d} / 2u, ${half - 1}u)` : `min(${d} % ${half}u, ${half - 1}u)`);
    const second = bind(interleaved ? `${d} % 2u == 1u` : `${d} >= ${half}u`);
    const partner = bind(
      x!.shape.at(-1) === 2 * half
        ? partnerOf(d, second, interleaved, half)
        : `select(${d}, ${partnerOf(d, second, interleaved, half)}, ${d} < ${2 * half}u)`,
    );
    const own = read(0, coordinates);
    const other = read(0, [...front, partner]);
    const [c, s] = [read(2, [position, pair]), read(3, [position, pair])];
    const sign = inverse ? `select(1.0, -1.0, ${second})` : `select(-1.0, 1.0, ${second})`;
    const turned = bind(
      `select(${prelude.nan_value}(), ${own} * ${c} + ${sign} * ${other} * ${s}, ${asked} < ${rows})`,
    );
    return x!.shape.at(-1) === 2 * half ? turned : `select(${own}, ${turned}, ${d} < ${2 * half}u)`;
  },
};

const partnerOf = (d: string, second: string, interleaved: boolean, half: number) =>
  interleaved ? `(${d} ^ 1u)` : `select(${d} + ${half}u, ${d} - ${half}u, ${second})`;
