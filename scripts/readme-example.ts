/** What a package's README tells a new user to install and to run first. */
export interface ReadmeExample {
  /** Packages of the first `npm install` line, without versions. */
  readonly install: readonly string[];
  /** Its options. */
  readonly flags: readonly string[];
  /** The first TypeScript code block. */
  readonly code: string;
}

/** Reads the first example of a README. @throws Error where it has none, or tells nobody what to install. */
export function readmeExample(markdown: string): ReadmeExample {
  const code = /^```ts\b[^\n]*\n([\s\S]*?)^```/m.exec(markdown)?.[1];
  if (code === undefined) throw new Error('its README has no ```ts code block');
  const line = /^(?:\$ )?npm (?:install|i) ([^\n#]+)/m.exec(markdown)?.[1];
  if (line === undefined) throw new Error('its README has no `npm install` line');
  const words = line.split(/\s+/).filter((word) => word !== '');
  const [install, flags] = [false, true].map((flag) => words.filter((word) => word.startsWith('-') === flag));
  return { install: install!, flags: flags!, code };
}
