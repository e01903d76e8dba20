/** A value of a GGUF file's metadata with its type. */
export type GgufField =
  | readonly ['u32', number]
  | readonly ['f32', number]
  | readonly ['bool', boolean]
  | readonly ['string', string]
  | readonly ['strings', readonly string[]]
  | readonly ['f32s', readonly number[]]
  | readonly ['i32s', readonly number[]]
  | readonly ['bools', readonly boolean[]];
