import { help, UsageError } from './usage.ts';

/** Names of the commands, in the order of the help. */
export const commands: readonly string[] = [
  ...new Set(
    [...help.matchAll(/^ {2}heddle ([a-z][a-z-]*)/gm)].map(([, name]) => name!).filter((name) => name !== 'help'),
  ),
];

const blocks = help.trimEnd().split('\n\n');

/** What the help says of a command: how it is called, its options, examples, and what all commands share. @throws UsageError */
export function helpOf(command: string | undefined): string {
  if (command === undefined || command.startsWith('-') || command === 'help') return help;
  if (!commands.includes(command)) throw new UsageError(`there is no command '${command}'`);
  const calls = (of: string) => of.split('\n').filter((line) => line.startsWith(`  heddle ${command} `));
  const [, usage = ''] = blocks;
  const heads = (block: string) => block.split('\n')[0]!.replace(/ \(.*/, '').split(' and ');
  const own = blocks.filter((block) => heads(block).includes(command));
  const examples = calls(blocks.find((block) => block.startsWith('Examples\n')) ?? '');
  const shown = [
    calls(usage).join('\n'),
    ...own,
    ...(examples.length > 0 ? [['Examples', ...examples].join('\n')] : []),
  ];
  return `${[...shown, blocks.at(-1)!].join('\n\n')}\n`;
}
