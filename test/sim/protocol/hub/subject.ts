const split = new Map<string, readonly string[]>();

/** Whether a subject matches a pattern with `*` and `>`. */
export function matches(pattern: string, subject: string): boolean {
  if (pattern === subject) return true;
  const wanted = tokensOf(pattern);
  const given = tokensOf(subject);
  for (let index = 0; index < wanted.length; index++) {
    const token = wanted[index];
    if (token === '>') return given.length > index;
    if (index >= given.length || (token !== '*' && token !== given[index])) return false;
  }
  return wanted.length === given.length;
}

function tokensOf(subject: string): readonly string[] {
  let tokens = split.get(subject);
  if (!tokens) {
    // Subjects carry request ids, of which there are always new ones.
    if (split.size > 2_000) split.clear();
    tokens = subject.split('.');
    split.set(subject, tokens);
  }
  return tokens;
}
