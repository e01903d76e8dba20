/** The name that was likely meant: one that at most a third of its letters tell from what was typed. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((name) => ({ name, away: editsBetween(typed, name) }))
    .filter(({ name, away }) => away <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.away - b.away);
  return best?.name;
}

/** Letters to put in, leave out, replace, or exchange with their neighbours. */
function editsBetween(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => i + j));
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      const exchanged = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i]![j] = exchanged ? Math.min(least, rows[i - 2]![j - 2]! + 1) : least;
    }
  return rows[a.length]![b.length]!;
}
