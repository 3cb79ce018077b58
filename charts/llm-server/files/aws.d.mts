/** Of what the tests use of `aws.mjs`. */
export function sign(
  url: string,
  headers: Readonly<Record<string, string>>,
  keys: { readonly id: string; readonly secret: string },
  region: string,
  now: Date,
): Record<string, string> & { readonly authorization: string };
