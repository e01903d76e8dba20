import type { SourceSpec } from './kernel-source.ts';

/** A kernel that becomes a part of another one. */
export interface KernelPart {
  readonly text: SourceSpec;
  /** Names of its buffers and sizes, as the other kernel calls them. */
  readonly buffers: ReadonlyMap<string, string>;
  readonly sizes: ReadonlyMap<string, string>;
}

/** What a kernel's entry point takes. */
export interface EntryPoint {
  readonly threads: number;
  readonly builtins: readonly { readonly builtin: string; readonly name: string; readonly type: string }[];
}

const header = /@compute\s+@workgroup_size\((\d+)\)\s*fn main\(((?:@builtin\(\w+\)\s+\w+:\s*[\w<>]+,?\s*)*)\)\s*\{/;
const argument = /@builtin\((\w+)\)\s+(\w+):\s*([\w<>]+)/g;

/** The entry point of a kernel; undefined where it is written in another way than all of ours. */
export function entryPointOf({ body }: SourceSpec): EntryPoint | undefined {
  const found = header.exec(body);
  if (!found) return undefined;
  const builtins = [...found[2]!.matchAll(argument)].map(([, builtin, name, type]) => ({
    builtin: builtin!,
    name: name!,
    type: type!,
  }));
  return { threads: Number(found[1]), builtins };
}

/**
 * The body of a kernel that is several others of as many threads: workgroups at z are those of part z, which sees only its own.
 * Memory of a workgroup is shared, as a workgroup is of one part.
 */
export function sharedBody(parts: readonly KernelPart[]): string {
  const entries = parts.map(({ text }) => entryPointOf(text)!);
  const texts = shareWorkgroupMemory(parts.map((part, i) => renamed(part, entries[i]!, `part${i}_`)));
  const taken = new Map(
    entries.flatMap(({ builtins }) => builtins.map(({ builtin, type }) => [builtin, type] as const)),
  );
  for (const builtin of ['workgroup_id', 'num_workgroups']) taken.set(builtin, 'vec3<u32>');
  const given: Readonly<Record<string, string>> = {
    workgroup_id: 'vec3<u32>(workgroup_id.xy, 0u)',
    num_workgroups: 'vec3<u32>(num_workgroups.xy, 1u)',
  };
  const calls = entries.map(({ builtins }, i) => {
    const values = builtins.map(({ builtin }) => given[builtin] ?? builtin).join(', ');
    return `  if (workgroup_id.z == ${i}u) { part${i}_main(${values}); }`;
  });
  return `${texts.join('\n')}
@compute @workgroup_size(${entries[0]!.threads})
fn main(${[...taken].map(([builtin, type]) => `@builtin(${builtin}) ${builtin}: ${type}`).join(', ')}) {
${calls.join('\n')}
}`;
}

/** Bytes of memory that the workgroups of a kernel share; undefined where that is not plain to see. */
export function workgroupBytes(body: string): number | undefined {
  let sum = 0;
  for (const [, , type] of body.matchAll(workgroupVariable)) {
    const found = /^(?:array<)?(f32|i32|u32|vec2<[fiu]32>|vec4<[fiu]32>)(?:, (\d+)u?>)?$/.exec(type!.trim());
    if (!found) return undefined;
    const words = { v: Number(found[1]![3]) }[found[1]![0]!] ?? 1;
    sum += 4 * words * Number(found[2] ?? 1);
  }
  return sum;
}

const workgroupVariable = /^var<workgroup> (\w+): ([^;]+);$/gm;

/** One variable for those of one type. */
function shareWorkgroupMemory(texts: readonly string[]): string[] {
  const known = new Map<string, string[]>();
  return texts.map((text, i) => {
    const taken = new Map<string, number>();
    const names = new Map<string, string>();
    const rest = text.replaceAll(workgroupVariable, (declaration, name: string, type: string) => {
      const shared = known.get(type) ?? [];
      known.set(type, shared);
      const nth = taken.get(type) ?? 0;
      taken.set(type, nth + 1);
      if (nth < shared.length) {
        names.set(name, shared[nth]!);
        return '';
      }
      shared.push(name);
      return declaration;
    });
    return i === 0 ? text : rename(rest, (name) => names.get(name));
  });
}

/** The body of a part with names of its own, and its entry point as a function. */
function renamed({ text, buffers, sizes }: KernelPart, { builtins }: EntryPoint, prefix: string): string {
  const parameters = builtins.map(({ name, type }) => `${name}: ${type}`).join(', ');
  const body = text.body.replace(header, () => `fn main(${parameters}) {`);
  const own = declaredNames(body);
  return rename(
    body,
    (name) => {
      if (own.has(name)) return prefix + name;
      const [, buffer, access = ''] = /^(\w+?)(_(?:at|set)[24]?)?$/.exec(name)!;
      const whole = buffers.get(name);
      const called = buffers.get(buffer!);
      return whole ?? (called && called + access);
    },
    (field) => sizes.get(field),
  );
}

/** Comments, numbers, names, and everything else by single characters. */
const tokens = /\/\/[^\n]*|\d[\w.]*|[A-Za-z_]\w*|\S/g;

/** Names that a text declares outside of functions. */
function declaredNames(body: string): ReadonlySet<string> {
  const found = new Set<string>();
  const all: readonly string[] = body.match(tokens) ?? [];
  let depth = 0;
  for (let i = 0; i < all.length; i++) {
    if (all[i] === '{') depth++;
    if (all[i] === '}') depth--;
    if (depth > 0 || !/^(?:fn|const|struct|alias|override|var)$/.test(all[i]!)) continue;
    if (all[i + 1] === '<') i = all.indexOf('>', i);
    found.add(all[++i]!);
  }
  return found;
}

/** Gives names others, where `to` has one; fields of `params` by `field`. Other fields, and what declares them, stay. */
function rename(
  text: string,
  to: (name: string) => string | undefined,
  field: (name: string) => string | undefined = () => undefined,
): string {
  let [before, last, depth] = ['', '', 0];
  return text.replaceAll(tokens, (token, offset: number) => {
    const declaresField = (last === '{' || (last === ',' && depth === 0)) && text[offset + token.length] === ':';
    const isField = last === '.' || declaresField;
    const ofParameters = last === '.' && before === 'params';
    if (token === '(') depth++;
    if (token === ')') depth--;
    [before, last] = [last, token];
    if (!/^[A-Za-z_]/.test(token)) return token;
    if (ofParameters) return field(token) ?? token;
    return (isField ? undefined : to(token)) ?? token;
  });
}
