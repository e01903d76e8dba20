/**
 * WGSL functions that lowerings may call by name; a kernel's text contains those that it uses.
 *
 * Not-a-number and infinity are made from a variable, because WGSL refuses constants that are no finite numbers.
 */
const functions: Readonly<Record<string, string>> = {
  nan_value: `fn nan_value() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}`,
  infinity_value: `fn infinity_value() -> f32 {
  var bits = 0x7f800000u;
  return bitcast<f32>(bits);
}`,
  // exp overflows in some drivers' tanh
  safe_tanh: `fn safe_tanh(x: f32) -> f32 {
  return tanh(clamp(x, -15.0, 15.0));
}`,
  // WGSL leaves pow of a negative base undefined
  safe_pow: `fn safe_pow(x: f32, y: f32) -> f32 {
  if (y == 0.0) { return 1.0; }
  if (x == 0.0) { return select(infinity_value(), 0.0, y > 0.0); }
  let magnitude = pow(abs(x), y);
  if (x > 0.0) { return magnitude; }
  if (floor(y) != y) { return nan_value(); }
  return select(magnitude, -magnitude, floor(y * 0.5) * 2.0 != y);
}`,
};

/** The functions that `text` calls, and those that they call, before their callers. */
export function preludeFor(text: string): string[] {
  const found: string[] = [];
  const add = (body: string) => {
    for (const [name, definition] of Object.entries(functions)) {
      if (found.includes(definition) || definition === body || !new RegExp(`\\b${name}\\(`).test(body)) continue;
      add(definition);
      found.push(definition);
    }
  };
  add(text);
  return found;
}
