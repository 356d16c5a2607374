/**
 * Text that others wrote, fit for a terminal: control and formatting characters, which would move the cursor or turn
 * the writing round, become spaces.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ");
}
