/** Caps on what is read from a folder, checked before anything is decoded. */
export interface FolderLimits {
  /** Characters of one document; an API server stores 1.5 MiB at most. */
  readonly documentLength: number;
  /** Mappings and lists inside each other. */
  readonly depth: number;
  /** Bytes of one file, however many documents it holds. */
  readonly fileBytes: number;
  /** Files of one folder, its subfolders included. */
  readonly files: number;
}

export const defaultFolderLimits: FolderLimits = Object.freeze({
  documentLength: 1.5 * 2 ** 20,
  depth: 64,
  fileBytes: 64 * 2 ** 20,
  files: 20_000,
});
