/** What Istio takes as the name of a namespace, a port and the like: https://www.rfc-editor.org/rfc/rfc1123#section-2.1 */
export function isDnsLabel(text: string): boolean {
  return /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/.test(text);
}
