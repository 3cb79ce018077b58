/** What decides which tokens a prompt becomes and which follow, as far as llama.cpp tells. */
const telling = ['vocab_type', 'n_vocab', 'n_ctx_train', 'n_embd', 'n_params', 'size', 'ftype'] as const;

/** Pure. The text whose hash names the model when the hash of its file is not given: same text, same answers. */
export const modelFingerprint = (
  meta: Readonly<Record<string, unknown>>,
  chatTemplate: string | undefined,
): string => JSON.stringify([...telling.map((key) => meta[key] ?? null), chatTemplate ?? null]);
