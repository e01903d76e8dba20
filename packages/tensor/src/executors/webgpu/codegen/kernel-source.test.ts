import { describe, expect, test } from 'vitest';
import { kernelSource, type SourceSpec } from './kernel-source.ts';
import { GivenNames } from './names.ts';

const native = { shaderF16: true };
const packed = { shaderF16: false };

/** A kernel that is written with the names it is given. */
const written = (
  label: string,
  main: (names: GivenNames) => string,
  { buffers = [], ...rest }: Partial<Pick<SourceSpec, 'buffers' | 'parameters' | 'requires'>> = {},
): SourceSpec => {
  const names = new GivenNames();
  const body = { main: main(names) };
  const entry = { threads: 1, builtins: {} };
  return { label, buffers, parameters: [], entry, workgroup: {}, body, used: names.used, asked: names.asked, ...rest };
};

const copy = (dtype: 'f32' | 'f16' | 'bool', vector: 1 | 4): SourceSpec =>
  written(
    'copy',
    ({ at2, at4, set2, set4, size }) => `${set4.y}(0u, ${at4.x}(${size.count})); ${set2.y}(1u, ${at2.x}(1u));`,
    {
      buffers: [
        { name: 'x', dtype, access: 'read', vector },
        { name: 'y', dtype, access: 'write', vector },
      ],
      parameters: ['count'],
    },
  );

describe('the text of a kernel', () => {
  test('declares buffers, parameters and the functions that the body calls', () => {
    expect(kernelSource(copy('f32', 4), native)).toMatchInlineSnapshot(`
      "struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
      @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
      @group(0) @binding(2) var<uniform> params: Params;
      fn x_at2(i: u32) -> vec2<f32> { return vec2<f32>(vec2<f32>(x[i >> 1u][2u * (i & 1u) + 0u], x[i >> 1u][2u * (i & 1u) + 1u])); }
      fn x_at4(i: u32) -> vec4<f32> { return x[i]; }
      fn y_set2(i: u32, v: vec2<f32>) { y[i >> 1u][2u * (i & 1u) + 0u] = v.x; y[i >> 1u][2u * (i & 1u) + 1u] = v.y; }
      fn y_set4(i: u32, v: vec4<f32>) { y[i] = v; }
      @compute @workgroup_size(1)
      fn main() {
      y_set4(0u, x_at4(params.count)); y_set2(1u, x_at2(1u));
      }"
    `);
    expect(kernelSource(copy('bool', 1), native)).toMatchInlineSnapshot(`
      "struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @group(0) @binding(2) var<uniform> params: Params;
      fn x_at2(i: u32) -> vec2<u32> { return vec2<u32>(x[2u * i + 0u],x[2u * i + 1u]); }
      fn x_at4(i: u32) -> vec4<u32> { return vec4<u32>(x[4u * i + 0u],x[4u * i + 1u],x[4u * i + 2u],x[4u * i + 3u]); }
      fn y_set2(i: u32, v: vec2<u32>) { y[2u * i + 0u] = v[0]; y[2u * i + 1u] = v[1]; }
      fn y_set4(i: u32, v: vec4<u32>) { y[4u * i + 0u] = v[0]; y[4u * i + 1u] = v[1]; y[4u * i + 2u] = v[2]; y[4u * i + 3u] = v[3]; }
      @compute @workgroup_size(1)
      fn main() {
      y_set4(0u, x_at4(params.count)); y_set2(1u, x_at2(1u));
      }"
    `);
  });

  test('stores f16 as such where the adapter has it, in pairs elsewhere', () => {
    expect(kernelSource(copy('f16', 4), native)).toMatchInlineSnapshot(`
      "enable f16;
      struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read> x: array<vec4<f16>>;
      @group(0) @binding(1) var<storage, read_write> y: array<vec4<f16>>;
      @group(0) @binding(2) var<uniform> params: Params;
      fn x_at2(i: u32) -> vec2<f32> { return vec2<f32>(vec2<f16>(x[i >> 1u][2u * (i & 1u) + 0u], x[i >> 1u][2u * (i & 1u) + 1u])); }
      fn x_at4(i: u32) -> vec4<f32> { return vec4<f32>(x[i]); }
      fn y_set2(i: u32, v: vec2<f32>) { y[i >> 1u][2u * (i & 1u) + 0u] = f16(v.x); y[i >> 1u][2u * (i & 1u) + 1u] = f16(v.y); }
      fn y_set4(i: u32, v: vec4<f32>) { y[i] = vec4<f16>(v); }
      @compute @workgroup_size(1)
      fn main() {
      y_set4(0u, x_at4(params.count)); y_set2(1u, x_at2(1u));
      }"
    `);
    expect(kernelSource(copy('f16', 4), packed)).toMatchInlineSnapshot(`
      "struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read> x: array<vec2<u32>>;
      @group(0) @binding(1) var<storage, read_write> y: array<vec2<u32>>;
      @group(0) @binding(2) var<uniform> params: Params;
      fn x_at2(i: u32) -> vec2<f32> { return unpack2x16float(x[i >> 1u][i & 1u]); }
      fn x_at4(i: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(x[i].x), unpack2x16float(x[i].y)); }
      fn y_set2(i: u32, v: vec2<f32>) { y[i >> 1u][i & 1u] = pack_halves(v); }
      fn y_set4(i: u32, v: vec4<f32>) { y[i] = vec2<u32>(pack_halves(v.xy), pack_halves(v.zw)); }
      fn pack_halves(v: vec2<f32>) -> u32 {
        let bits = bitcast<vec2<u32>>(v);
        let size = bits & vec2<u32>(0x7fffffffu);
        let beyond = size >= vec2<u32>(0x477ff000u);
        let packed = pack2x16float(select(v, vec2<f32>(0.0), beyond));
        let ends = select(vec2<u32>(0x7c00u), vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
        let halves = select(vec2<u32>(packed & 0xffffu, packed >> 16u), ((bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | ends, beyond);
        return halves.x | (halves.y << 16u);
      }
      @compute @workgroup_size(1)
      fn main() {
      y_set4(0u, x_at4(params.count)); y_set2(1u, x_at2(1u));
      }"
    `);
    expect(kernelSource(copy('f16', 1), packed)).toMatchInlineSnapshot(`
      "struct Params { count: u32 }
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @group(0) @binding(2) var<uniform> params: Params;
      fn x_at2(i: u32) -> vec2<f32> { return unpack2x16float(x[i]); }
      fn x_at4(i: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(x[2u * i]), unpack2x16float(x[2u * i + 1u])); }
      fn y_set2(i: u32, v: vec2<f32>) { y[i] = pack_halves(v); }
      fn y_set4(i: u32, v: vec4<f32>) { y[2u * i] = pack_halves(v.xy); y[2u * i + 1u] = pack_halves(v.zw); }
      fn pack_halves(v: vec2<f32>) -> u32 {
        let bits = bitcast<vec2<u32>>(v);
        let size = bits & vec2<u32>(0x7fffffffu);
        let beyond = size >= vec2<u32>(0x477ff000u);
        let packed = pack2x16float(select(v, vec2<f32>(0.0), beyond));
        let ends = select(vec2<u32>(0x7c00u), vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
        let halves = select(vec2<u32>(packed & 0xffffu, packed >> 16u), ((bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | ends, beyond);
        return halves.x | (halves.y << 16u);
      }
      @compute @workgroup_size(1)
      fn main() {
      y_set4(0u, x_at4(params.count)); y_set2(1u, x_at2(1u));
      }"
    `);
  });

  test('has no function that sets one of two values of a word', () => {
    const spec = written('set', ({ set }) => `${set.y}(0u, 1.0);`, {
      buffers: [{ name: 'y', dtype: 'f16', access: 'write', vector: 1 }],
    });
    expect(kernelSource(spec, native)).toContain('fn y_set(');
    expect(kernelSource(spec, packed)).not.toContain('fn y_set(');
  });

  test('contains the prelude functions that are called, and what those call', () => {
    const spec = written('power', ({ prelude }) => `let x = ${prelude.safe_pow}(2.0, 3.0);`, {
      requires: ['subgroups'],
    });
    const text = kernelSource(spec, packed);
    expect(text.startsWith('enable subgroups;\n')).toBe(true);
    for (const name of ['nan_value', 'infinity_value', 'safe_pow']) expect(text.split(`fn ${name}(`)).toHaveLength(2);
    expect(text).not.toContain('safe_tanh');
  });

  test('is refused for a function that the prelude has not', () => {
    expect(() => written('guess', ({ prelude }) => prelude['safe_guess' as 'safe_exp'])).toThrow(
      /no function safe_guess/,
    );
  });

  test('binds a large buffer in parts, of which the functions choose', () => {
    const parts = { count: 2, bytes: 4096, values: 1024 };
    const buffers: SourceSpec['buffers'] = [
      { name: 'x', dtype: 'f32', access: 'read', vector: 4, parts },
      { name: 'y', dtype: 'f32', access: 'write', vector: 1 },
    ];
    const spec = written('large', ({ at, at4, set }) => `${set.y}(0u, ${at4.x}(3u).x + ${at.x}(9u));`, { buffers });
    expect(kernelSource(spec, native)).toMatchInlineSnapshot(`
      "@group(0) @binding(0) var<storage, read> x_0: array<vec4<f32>>;
      @group(0) @binding(1) var<storage, read> x_1: array<vec4<f32>>;
      @group(0) @binding(2) var<storage, read_write> y: array<f32>;
      fn x_at(i: u32) -> f32 { let j = i % 1024u; switch (i / 1024u) { case 0u: { return x_0[j >> 2u][j & 3u]; } default: { return x_1[j >> 2u][j & 3u]; } } }
      fn x_at4(i: u32) -> vec4<f32> { let j = i % 256u; switch (i / 256u) { case 0u: { return x_0[j]; } default: { return x_1[j]; } } }
      fn y_set(i: u32, v: f32) { y[i] = v; }
      @compute @workgroup_size(1)
      fn main() {
      y_set(0u, x_at4(3u).x + x_at(9u));
      }"
    `);
    expect(() =>
      kernelSource(
        written('large', ({ array }) => `let v = ${array.x}[0];`, { buffers }),
        native,
      ),
    ).toThrow(/large: takes a buffer as a whole/);
  });
});
