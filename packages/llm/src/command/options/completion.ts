import { help, UsageError } from './usage.ts';

const commands = [...help.matchAll(/^ {2}heddle ([a-z][a-z-]*)/gm)].map(([, name]) => name!);
const options = [...new Set([...help.matchAll(/--[a-z][\w-]*/g)].map(([name]) => name))].sort();

/** `heddle completion SHELL`: what a shell completes commands and options with. @throws UsageError for a shell that is not known */
export function completion(args: readonly string[]): string {
  const [shell] = args;
  const words = [...new Set(commands)].join(' ');
  switch (shell) {
    case 'bash':
      return `_heddle() {
  local word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${words}" -- "$word"))
  elif [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "${options.join(' ')}" -- "$word"))
  else COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -F _heddle heddle
`;
    case 'zsh':
      return `#compdef heddle
_heddle() {
  if (( CURRENT == 2 )); then compadd ${words}
  elif [[ "$PREFIX" == -* ]]; then compadd -- ${options.join(' ')}
  else _files; fi
}
compdef _heddle heddle
`;
    case 'fish':
      return [
        `complete -c heddle -n __fish_use_subcommand -f -a '${words}'`,
        ...options.map((name) => `complete -c heddle -l ${name.slice(2)}`),
        '',
      ].join('\n');
    default:
      throw new UsageError(`completion takes bash, zsh or fish, got ${shell ?? 'nothing'}`);
  }
}
