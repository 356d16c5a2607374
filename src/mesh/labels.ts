/** Whether `labels` hold everything that `wanted` asks for; an empty `wanted` matches all. */
export function labelsMatch(
  wanted: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return wanted === undefined || Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
