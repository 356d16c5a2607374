import type { ToStringOptions } from "yaml";

/** How to print YAML so that it looks as `text` does, and a diff shows what changed and little else. */
export function formattingOf(text: string): ToStringOptions {
  // The first list below a key tells whether its dashes are indented, as kubectl's are not.
  const list = /^( *)(?:- )?[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- /m.exec(text);
  const mapping = /^[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?: *#[^\n]*\n)*( +)[^\s#-]/m.exec(text);
  const indent = mapping?.[1]?.length ?? 2;
  return {
    // A line that was long stays long.
    lineWidth: 0,
    indent: indent >= 1 && indent <= 8 ? indent : 2,
    indentSeq: list === null || (list[2]?.length ?? 0) > (list[1]?.length ?? 0),
    flowCollectionPadding: !/[{[][^\s{}[\]]/.test(text),
  };
}
